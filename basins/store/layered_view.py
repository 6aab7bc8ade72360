"""A run with its layers applied: the rows of the highest committed layer replace those below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from basins.errors import RunError
from basins.experiment import Case
from basins.store import layout, parquet
from basins.store.committed import shards_there
from basins.store.files import Files
from basins.store.layers import Layer
from basins.store.layout import Kind
from basins.store.schemas import Tables

KEYS: dict[Kind, list[str]] = {"trajectories": ["id"], "visits": ["id", "number"], "blocks": ["block"]}
"""The sort columns of each table. A layer replaces the rows that have the same value in the first of them."""


class View:
    """The shards of a run with some of its layers applied, the lowest first.

    The committed shards of a layer are looked up once, so a view shows the same rows at every read, even while a layer
    is in progress.
    """

    def __init__(self, files: Files, layers: Sequence[Layer]) -> None:
        self.files, self.layers = files, layers

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
        """A committed shard's table of one kind, as a pyarrow Table. columns, where: as for `parquet.read`."""
        keys = KEYS[kind]
        layers = self.over(case, shard)
        wanted = Tables.of(case.landscape).schema(kind).names if columns is None else list(columns)
        read = wanted if not layers else list(dict.fromkeys([*wanted, *keys]))
        table = self._read(self.files, kind, case, shard, read, where)
        for layer in layers:
            folder = layer.files(self.files)
            by: Kind = "blocks" if kind == "blocks" else "trajectories"
            replaced = self._read(folder, by, case, shard, keys[:1])[keys[0]]
            below = table.filter(pc.invert(pc.is_in(table[keys[0]], value_set=replaced)))
            table = pa.concat_tables([below, self._read(folder, kind, case, shard, read, where)])
        if layers:
            table = table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
        return table.select(wanted)

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
            raise RunError(
                f"{path} is gone, though its shard was committed",
                where=files.uri,
                remedy="run again: it is computed again",
            ) from None
        try:
            return parquet.with_whole_vocabulary(table.replace_schema_metadata(None), Tables.of(case.landscape).words)
        except ValueError as error:
            raise parquet.damaged(files, path, error) from None
