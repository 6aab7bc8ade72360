"""The sources of shards in a run, its base and its layers: each is a folder of files with its planned contents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from basins.experiment import Case
from basins.store import Files, Kind, Manifest, layout
from basins.store.contents import Contents
from basins.store.layered_view import View
from basins.store.layers import Layer
from basins.verify.contents import wrong_layer_rows, wrong_rows
from basins.verify.finding import Finding, Trouble

Tables = Mapping[Kind, pa.Table]


@dataclass(frozen=True)
class ShardSource:
    """files: of this folder; contents: what it should hold; layer: its number, 0 for the base; wrong_rows: finds the
    contradictions in a shard's tables, given how many ids it has."""

    files: Files
    contents: Contents
    layer: int
    wrong_rows: Callable[[Case, int, Tables, int], Iterator[tuple[Kind, str]]]

    def path(self, inside: str) -> str:
        """The path in the run of a path in this folder."""
        return f"{layout.layer(self.layer)}{inside}" if self.layer else inside

    def finding(
        self, inside: str, what: str, trouble: Trouble, case: str | None = None, shard: int | None = None
    ) -> Finding:
        """A finding about a file of this folder."""
        return Finding(self.path(inside), what, trouble, case, shard, self.layer)


def shard_sources(files: Files, manifest: Manifest, layers: list[Layer]) -> list[ShardSource]:
    """The base and its layers, the lowest first."""
    base = ShardSource(files, manifest, 0, partial(wrong_rows, manifest))
    return [
        base,
        *(
            ShardSource(
                layer.files(files),
                layer,
                layer.number,
                partial(wrong_layer_rows, layer, View(files, layers[:k], manifest)),
            )
            for k, layer in enumerate(layers)
        ),
    ]
