"""A run with its layers applied: the rows of the highest committed layer replace those below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from basins.errors import RunError
from basins.experiment import Case
from basins.laws import BLOCK
from basins.store import layout, parquet
from basins.store.block_recount import WORST, blocks_of, recounted
from basins.store.committed import shards_there
from basins.store.files import Files
from basins.store.folder import Folder
from basins.store.layers import Layer
from basins.store.layout import Kind
from basins.store.manifest import Manifest
from basins.store.schemas import Tables

KEYS: dict[Kind, list[str]] = {"trajectories": ["id"], "visits": ["id", "number"], "blocks": ["block"]}
"""The sort columns of each table. A layer replaces the rows that have the same value in the first of them."""


class View:
    """The shards of a run under some of its layers, the lowest first. What a layer has committed is looked up once: a
    view shows the same rows however often it is read while a layer is in progress. So it is with a last shard that is
    short, and may be replaced by a longer one while the run grows: its blocks are read once, until `look_again`."""

    def __init__(self, files: Files, layers: Sequence[Layer], manifest: Manifest) -> None:
        self.files, self.layers, self.manifest = files, layers, manifest
        self._first_looks: dict[tuple[str, int], _FirstLook] = {}

    @cached_property
    def _committed(self) -> dict[tuple[int, str], frozenset[int]]:
        return {
            (layer.number, case.key): frozenset(shards_there(layer.files(self.files), "trajectories", case.key))
            for layer in self.layers
            for case in layer.cases
        }

    @property
    def committed(self) -> int:
        """The number of shards committed in all layers. An estimate names it, because its rows change with it."""
        return sum(map(len, self._committed.values()))

    def over(self, case: Case, shard: int) -> list[Layer]:
        """The layers that hold this shard, the lowest first."""
        return [layer for layer in self.layers if shard in self._committed.get((layer.number, case.key), ())]

    def part(self, kind: Kind, case: Case, shard: int, columns: Sequence[str] | None = None, where: Any = None) -> Any:
        """A committed shard's table of one kind, a pyarrow Table. columns, where: as of `parquet.read`."""
        if kind == "blocks":
            return self._blocks(case, shard, columns)
        where = self._within(case, shard, where)
        keys = KEYS[kind]
        layers = self.over(case, shard)
        wanted = Tables.of(case.landscape).schema(kind).names if columns is None else list(columns)
        read = wanted if not layers else list(dict.fromkeys([*wanted, *keys]))
        table = self._read(self.files, kind, case, shard, read, where)
        for layer in layers:
            folder = layer.files(self.files)
            again = self._read(folder, "trajectories", case, shard, keys[:1])[keys[0]]
            below = table.filter(pc.invert(pc.is_in(table[keys[0]], value_set=again)))
            table = pa.concat_tables([below, self._read(folder, kind, case, shard, read, where)])
        if layers:
            table = table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
        return table.select(wanted)

    # --- blocks, and shards that may be short -------------------------------------------------------------------------

    def _blocks(self, case: Case, shard: int, columns: Sequence[str] | None) -> pa.Table:
        wanted = Tables.of(case.landscape).schema("blocks").names if columns is None else list(columns)
        layers = self.over(case, shard)
        table = self._base_blocks(case, shard, wanted if not layers else None)
        for k, layer in enumerate(layers):
            folder = layer.files(self.files)
            own = self._read(folder, "blocks", case, shard, table.column_names)
            own = self._recounted(case, shard, layers[:k], folder, table, own)
            below = table.filter(pc.invert(pc.is_in(table["block"], value_set=own["block"])))
            table = pa.concat_tables([below, own]).sort_by("block").combine_chunks()
        return table.select(wanted)

    def _recounted(
        self, case: Case, shard: int, below: Sequence[Layer], folder: Folder, blocks: pa.Table, own: pa.Table
    ) -> pa.Table:
        """A layer's blocks. Where it was made over a shorter shard, the block in which that ended is counted anew: the
        layer's has fewer ids than the one below it."""
        counts = dict(zip(blocks["block"].to_pylist(), blocks["count"].to_pylist(), strict=True))
        there = zip(own["block"].to_pylist(), own["count"].to_pylist(), strict=True)
        short = pa.array([block for block, count in there if count < counts[block]], own["block"].type)
        if not len(short):
            return own
        form = Tables.of(case.landscape)
        of_short = own.filter(pc.is_in(own["block"], value_set=short))
        first = of_short["first_id"][0].as_py()  # one block is short, the last of what the layer was made over
        where = (pc.field("id") >= first) & (pc.field("id") < first + BLOCK)
        new = self._read(folder, "trajectories", case, shard, form.trajectories.names, where)
        old = View(self.files, below, self.manifest).part("trajectories", case, shard, where=where)
        old = old.filter(pc.is_in(old["id"], value_set=new["id"]))
        worst = {name: of_short[name] for name in WORST}
        counted = recounted(form, blocks, old, blocks_of(form, new, worst))
        others = own.filter(pc.invert(pc.is_in(own["block"], value_set=short)))
        return pa.concat_tables([others, counted.select(own.column_names)])

    def length(self, case: Case, shard: int) -> int:
        """How many ids a committed shard has."""
        look = self._look(case, shard)
        return len(self.manifest.ids(case, shard)) if look is None else look.length

    def look_again(self, case: str) -> None:
        """What may have become longer is looked at anew when it is next read."""
        self._first_looks = {key: look for key, look in self._first_looks.items() if key[0] != case}

    def _within(self, case: Case, shard: int, where: Any) -> Any:
        """The condition, and that rows are of the ids that the shard has: while it is replaced, a file may be
        longer."""
        look = self._look(case, shard)
        if look is None:
            return where
        inside = pc.field("id") < self.manifest.ids(case, shard).start + look.length
        return inside if where is None else where & inside

    def _base_blocks(self, case: Case, shard: int, columns: Sequence[str] | None) -> pa.Table:
        look = self._look(case, shard)
        names = Tables.of(case.landscape).blocks.names if columns is None else list(columns)
        return self._read(self.files, "blocks", case, shard, names) if look is None else look.blocks.select(names)

    def _look(self, case: Case, shard: int) -> _FirstLook | None:
        """Length and blocks of a shard that may be short or become longer, as they were when they were first read; None
        for all others."""
        planned = len(self.manifest.ids(case, shard))
        if planned == BLOCK * self.manifest.blocks_per_shard and shard not in self.manifest.growing(case):
            return None
        if (case.key, shard) not in self._first_looks:
            path = layout.part("blocks", case.key, shard)
            blocks, keys = self._opened(path)
            length = keys.get("trajectories", "")
            if length.isdecimal() and int(length) > planned:
                raise RunError("the run has grown since it was opened", where=self.files.uri, remedy="open it again")
            if length not in map(str, self.manifest.lengths(case, shard)):
                raise parquet.damaged(self.files, path, f"it is of {length or 'no'} trajectories")
            self._first_looks[case.key, shard] = _FirstLook(int(length), blocks)
        return self._first_looks[case.key, shard]

    def _opened(self, path: str) -> tuple[pa.Table, dict[str, str]]:
        """A file's rows and the keys of its footer, read at once: the next moment it may be another."""
        try:
            return parquet.read_whole(self.files, path)
        except FileNotFoundError:
            raise self._gone(self.files, path) from None

    def layer_of(self, case: Case, shard: int, id: int) -> Layer | None:
        """The highest layer that holds the row of an id, None if the row is the base's."""
        for layer in reversed(self.over(case, shard)):
            where = pc.field("id") == id
            if len(self._read(layer.files(self.files), "trajectories", case, shard, ["id"], where)):
                return layer
        return None

    def _read(
        self, files: Files, kind: Kind, case: Case, shard: int, columns: list[str], where: Any = None
    ) -> pa.Table:
        path = layout.part(kind, case.key, shard)
        try:
            table = parquet.read(files, path, columns, where)
        except FileNotFoundError:
            raise self._gone(files, path) from None
        try:
            return parquet.with_whole_vocabulary(table.replace_schema_metadata(None), Tables.of(case.landscape).words)
        except ValueError as error:
            raise parquet.damaged(files, path, error) from None

    def _gone(self, files: Files, path: str) -> RunError:
        remedy = "run again: it is computed again"
        return RunError(f"{path} is gone, though its shard was committed", where=files.uri, remedy=remedy)


class _FirstLook(NamedTuple):
    """How many ids a shard has, and its blocks."""

    length: int
    blocks: pa.Table
