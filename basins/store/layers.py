"""RUN/layer-0001, ...: the rows that `basins extend` integrated again with a larger budget.

A layer has folders like the run's own, with files only for those shards that had rows whose budget was spent. Its
trajectory and visit rows replace those of the same ids below it (in a base shard, or in an earlier layer), and its
block rows replace those of the same numbers, recounted. layer.json says which budget the layer has, which layer lies
below it, and which shards it holds. It is written first and never changes, so a layer is resumed like a run, and its
bytes depend on the run and the budgets alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basins.errors import RunError
from basins.experiment import Case
from basins.store import layout
from basins.store.files import Files
from basins.store.folder import Folder
from basins.store.manifest import Manifest, canonical_json


@dataclass(frozen=True)
class Layer:
    """One layer. number: from 1; budget: evaluations allowed per row; rows: number of trajectories in the layer, by
    case key; shards: the shards it holds, ascending, by case key."""

    manifest: Manifest
    number: int
    budget: int
    trajectories: Mapping[str, int]
    of_case: Mapping[str, tuple[int, ...]]

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case for case in self.manifest.cases if case.key in self.of_case)

    def case(self, key: str) -> Case:
        return self.manifest.case(key)

    def shards(self, case: Case) -> Sequence[int]:
        return self.of_case.get(case.key, ())

    def growing(self, case: Case) -> tuple[int, ...]:
        """None: a layer's shard stays as it is, over however many ids it was made."""
        return ()

    def lengths(self, case: Case, shard: int) -> tuple[int, ...]:
        return self.manifest.lengths(case, shard)

    def footer(self, case: Case, shard: int, length: int | None = None) -> dict[str, str]:
        return self.manifest.footer(case, shard, length) | {"layer": str(self.number), "budget": str(self.budget)}

    def expected(self, case: Case, shard: int, length: int | None = None) -> dict[layout.Kind, int]:
        """Nothing: only the block files' footers know."""
        return {}

    def files(self, files: Files) -> Folder:
        """The layer's folder in the run's files."""
        return Folder(files, layout.layer(self.number))

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "schema": self.manifest.schema,
                **_run_identity(self.manifest),
                "layer": self.number,
                "over": self.number - 1,  # 0 is the run's base
                "budget": self.budget,
                "cases": {
                    key: {"trajectories": self.trajectories[key], "shards": ranges(shards)}
                    for key, shards in self.of_case.items()
                },
            }
        )

    @classmethod
    def from_json(cls, data: bytes, manifest: Manifest, number: int, where: str) -> Layer:
        """The layer that `to_json` wrote. Raises RunError if the data is damaged or belongs to another run."""
        try:
            content = json.loads(data)
            wanted = {"schema": manifest.schema, **_run_identity(manifest), "layer": number}
            if {name: content.get(name) for name in wanted} != wanted:
                raise ValueError("it belongs to another run, layer or schema version")
            cases: dict[str, Any] = content["cases"]
            return cls(
                manifest=manifest,
                number=number,
                budget=int(content["budget"]),
                trajectories={key: int(cases[key]["trajectories"]) for key in cases},
                of_case={manifest.case(key).key: tuple(numbers(cases[key]["shards"])) for key in cases},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{layout.layer(number)}{layout.LAYER} is damaged ({error})",
                where=where,
                remedy="put back a copy of it, or move the layer's folder away and extend again",
            ) from error


def _run_identity(manifest: Manifest) -> dict[str, Any]:
    """The keys of layer.json that say which run the layer belongs to. Schema 1 named the experiment's digest; its cases
    are identified by their keys in any schema."""
    return {"experiment": manifest.digest} if manifest.schema == 1 else {"seed": manifest.seed}


def read_layer(files: Files, manifest: Manifest, number: int) -> Layer | None:
    """The layer of this number, None if it does not exist."""
    try:
        data = files.get(layout.layer(number) + layout.LAYER)
    except FileNotFoundError:
        return None
    return Layer.from_json(data, manifest, number, files.uri)


def read_layers(files: Files, manifest: Manifest) -> list[Layer]:
    """The layers of a run in ascending order. Costs one read per layer and one more, and no listing."""
    layers: list[Layer] = []
    while (layer := read_layer(files, manifest, len(layers) + 1)) is not None:
        layers.append(layer)
    return layers


def ranges(shards: Iterable[int]) -> str:
    """Ascending numbers as text: 0-5,7,9-12."""
    parts: list[list[int]] = []
    for shard in shards:
        if parts and parts[-1][1] == shard - 1:
            parts[-1][1] = shard
        else:
            parts.append([shard, shard])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def numbers(ranges: str) -> Iterable[int]:
    for part in ranges.split(",") if ranges else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
