"""A run opened for reading: its cases, rows, visits and blocks as pandas tables, finished or in progress."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basins.arrays import whole
from basins.errors import ArgumentError, RunError, nearest
from basins.experiment import Case
from basins.experiment.checks import a_path
from basins.experiment.naming import case_called
from basins.run_actions import RunActions
from basins.store.commit import cases_table, missing_shards, read_manifest
from basins.store.committed import shards_there
from basins.store.copy import copy_run
from basins.store.files import Files, files_at
from basins.store.layered_view import View
from basins.store.layers import Layer, read_layers
from basins.store.layout import Kind
from basins.store.manifest import Manifest
from basins.store.passages import with_passages
from basins.store.schemas import Tables
from basins.store.temporary import TemporaryFolder

OF_CASE = ("case", "name")
"""The columns that a table read through `Run` has before its own: the case's key, and its name in cases.parquet."""

if TYPE_CHECKING:
    import pandas as pd

    from basins.estimate import Estimate


def open_run(path: str | os.PathLike[str], layers: int | None = None) -> Run:
    """The run at a path, finished or in progress. layers: how many of its layers (layers.py) to apply, by default all;
    0: the run as it was before it was extended. Raises RunError if there is no run."""
    if layers is not None:
        whole(layers, "layers")
    return Run(files_at(path), layers)


class Run(RunActions):
    """A run on disk. What others commit of it meanwhile is seen by the next call, and so is what it has grown by; its
    layers are read as they were when they were first looked at, so that counts and rows agree.

    temporary: the folder of a run that was given no place. The run owns it: it is removed when the run is closed, when
    nothing refers to it any more, and when Python ends, unless the run is saved before.
    """

    def __init__(self, files: Files, layers: int | None = None, temporary: TemporaryFolder | None = None) -> None:
        self._files, self.temporary, self.closed = files, temporary, False
        self._layers = layers
        self._read()

    def _read(self) -> None:
        self.manifest: Manifest = read_manifest(self.files)
        self.layers: list[Layer] = read_layers(self.files, self.manifest)[: self._layers]
        for name in ("view", "_by_key"):
            self.__dict__.pop(name, None)

    def _follow(self) -> None:
        """Read the run's manifest again where the run has grown since."""
        if read_manifest(self.files).stage != self.manifest.stage:
            self._read()

    @property
    def path(self) -> str:
        return self.files.uri

    # --- where it is ----------------------------------------------------------------------------------------------

    @property
    def files(self) -> Files:
        """The run's files. Raises RunError once its temporary folder is gone."""
        if self.closed:
            what = "closed, and its temporary folder with it"
            raise RunError(what, where=self._files.uri, remedy="run it again, with out=..., or save it before")
        return self._files

    def save(self, path: str | os.PathLike[str]) -> Run:
        """Copy the run to a local path or an s3:// URI, an empty place or a new one. It is there from now on, and a
        temporary folder is removed. Returns the run.

        Raises RunError for a place that holds anything, or cannot be written; the run then stays where it is.
        """
        to = files_at(a_path("path", path))
        copy_run(self.files, to)
        self._files = to
        self.__dict__.pop("view", None)
        if self.temporary is not None:
            self.temporary.remove()
            self.temporary = None
        return self

    def close(self) -> None:
        """Remove the temporary folder that the run owns, if it does; a run elsewhere is left as it is."""
        if self.temporary is not None:
            self.temporary.remove()
            self.temporary, self.closed = None, True

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- tables ---------------------------------------------------------------------------------------------------

    def cases(self) -> pd.DataFrame:
        """One row per case: key (`case`), name, problem, law, settings, plan."""
        self._follow()
        return _frame(cases_table(self.manifest))

    def trajectories(
        self,
        case: str | None = None,
        columns: list[str] | None = None,
        *,
        verdict: str | None = None,
        contiguous: bool = False,
    ) -> pd.DataFrame:
        """The rows of committed shards, by case and id; `case` is a key or a name, None for all. Each row has its
        case's key as `case` and its name as `name`.

        An experiment with rows = "exceptions" keeps only the rows that are not `minimum` and those of watched ids
        (divisible by visits_every); `blocks` counts all of them.

        columns: only these (and `case`, `name`); verdict: only rows with this verdict; contiguous: only the contiguous
        prefix of ids, which an estimate may count while the run is in progress. Raises ArgumentError for unknown names.
        """
        self._follow()
        cases = self.manifest.cases if case is None else (self.case(case),)
        return self._table("trajectories", case, columns, _with_verdict(cases, verdict), contiguous)

    def visits(self, case: str | None = None, *, contiguous: bool = False) -> pd.DataFrame:
        """The visits of committed shards, by case, id and number: closest approaches, where the gradient norm has a
        local minimum. `distance`: from the nearest stratum, relative to the weights about to grow; `passes`: whether
        the visit is near enough to pass a saddle (otherwise it is a slow-down, passage.py). Both are computed, not on
        disk."""
        self._follow()
        return self._table("visits", case, None, None, contiguous)

    def blocks(self, case: str | None = None, *, contiguous: bool = False) -> pd.DataFrame:
        """One row per block of committed shards: counts by verdict and stratum, costs, histogram of log t."""
        self._follow()
        return self._table("blocks", case, None, None, contiguous)

    def stream(
        self,
        kind: Kind,
        case: str,
        columns: list[str] | None = None,
        *,
        shards: Iterable[int] | None = None,
        verdict: str | None = None,
    ) -> Iterator[pd.DataFrame]:
        """A case's "trajectories", "visits" or "blocks" shard by shard, so that a run of any size fits in memory.

        columns: only these are read (without it, visits also have `distance` and `passes`); shards: only these, by
        default the contiguous prefix, which an estimate may count; verdict: only rows with this verdict. Only the rows
        of one shard, without the column `case`, are in memory at a time.
        """
        the_case = self.case(case)
        where = _with_verdict([the_case], verdict)
        _refuse_unknown([the_case], kind, columns)
        for shard in range(self.contiguous_prefix(case)) if shards is None else shards:
            part = self.view.part(kind, the_case, shard, columns, where)
            yield _frame(with_passages(the_case.landscape, part) if kind == "visits" and columns is None else part)

    def estimate(self) -> Estimate:
        """The measure of the saddle basins with exact intervals, from the contiguous prefix of every case."""
        from basins.estimate import estimate_run

        self._follow()
        return estimate_run(self)

    # --- progress ---------------------------------------------------------------------------------------------------

    def committed(self, case: str) -> list[int]:
        """The committed shards of a case, ascending. A short one, of a run that has grown since, is among them."""
        self.view.look_again(self.case(case).key)
        return shards_there(self.files, "trajectories", self.case(case).key)

    def missing(self) -> dict[str, list[int]]:
        """The missing shards by case key. A case without missing shards is left out."""
        self._follow()
        found = {case.key: missing_shards(self.files, self.manifest, case) for case in self.manifest.cases}
        return {key: shards for key, shards in found.items() if shards}

    def contiguous_prefix(self, case: str) -> int:
        """The number of shards of a case that are done without a gap, counted from the first.

        An estimate counts only these: the fastest shards finish first, so counting all finished ones would be biased.
        """
        done, the_case = self.committed(case), self.case(case)
        prefix = next((k for k, shard in enumerate(done) if shard != k), len(done))
        for shard in self.manifest.growing(the_case):
            if shard < prefix and self.view.length(the_case, shard) < len(self.manifest.ids(the_case, shard)):
                return shard + 1
        return prefix

    def case(self, name: str) -> Case:
        """The case with this key or name, or with a part of a name that no other case has (experiment/naming.py).
        Raises ArgumentError if there is none, and for a part that several have."""
        by_key = self._by_key.get(name)
        return case_called(self.manifest.cases, name, self.files.uri) if by_key is None else by_key

    # --- reading ------------------------------------------------------------------------------------------------------

    @cached_property
    def view(self) -> View:
        """The shards with the layers applied."""
        return View(self.files, self.layers, self.manifest)

    @cached_property
    def _by_key(self) -> dict[str, Case]:
        return {case.key: case for case in self.manifest.cases}

    def _table(
        self, kind: Kind, case: str | None, columns: list[str] | None, where: Any, contiguous: bool
    ) -> pd.DataFrame:
        cases = self.manifest.cases if case is None else (self.case(case),)
        asked = None if columns is None else [column for column in columns if column not in OF_CASE]
        _refuse_unknown(cases, kind, asked)
        tables = []
        for one in cases:
            schema = Tables.of(one.landscape).schema(kind)
            wanted = None if asked is None else [column for column in asked if column in schema.names]
            shards = range(self.contiguous_prefix(one.key)) if contiguous else self.committed(one.key)
            parts = [self.view.part(kind, one, shard, wanted, where) for shard in shards]
            empty = schema.empty_table() if wanted is None else schema.empty_table().select(wanted)
            table = pa.concat_tables([empty, *parts])
            if kind == "visits":
                table = with_passages(one.landscape, table)
            tables.append(self._with_case(one, table))
        return _frame(pa.concat_tables(tables, promote_options="permissive"))

    def _with_case(self, case: Case, table: pa.Table) -> pa.Table:
        """The table with the columns of OF_CASE first: no byte on disk depends on a name."""
        position = self.manifest.cases.index(case)
        codes = pa.array(np.full(len(table), position), pa.int32())
        for place, words in enumerate(([*self._by_key], [one.name for one in self.manifest.cases])):
            column = pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string()))
            table = table.add_column(place, OF_CASE[place], column)
        return table


def _with_verdict(cases: Sequence[Case], verdict: str | None) -> Any:
    if verdict is None:
        return None
    words = list(dict.fromkeys(word for case in cases for word in case.landscape.critical.vocabulary.verdicts))
    if verdict not in words:
        raise ArgumentError(f"no verdict {verdict!r}", where="verdict", remedy=nearest(verdict, words))
    return pc.field("verdict") == pa.scalar(verdict)


def _refuse_unknown(cases: Sequence[Case], kind: Kind, columns: list[str] | None) -> None:
    names = list(dict.fromkeys(name for case in cases for name in Tables.of(case.landscape).schema(kind).names))
    for column in columns or ():
        if column not in names:
            raise ArgumentError(f"no column {column!r}", where=kind, remedy=nearest(column, names))


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas. Unsigned integers become nullable ones, since a bitmask of 64 bits does not fit a float."""
    import pandas as pd

    nullable = {pa.uint64(): pd.UInt64Dtype(), pa.uint32(): pd.UInt32Dtype(), pa.uint8(): pd.UInt8Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame
