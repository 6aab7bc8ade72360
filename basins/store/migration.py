"""Rewrites a run of an older schema in the current one: `basins migrate RUN --out NEW`.

The rows stay the same; only their encoding in the files changes. Nothing is integrated, and the old run is only read.
The new run has the bytes that the same experiment gives when it is run now, provided that the versions that integrated
it are the same. Its manifest keeps the versions of the old run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from basins.errors import RunError
from basins.store import layout, parquet, schemas
from basins.store.commit import (
    cases_table,
    check_shards,
    commit_shard,
    experiment_text,
    read_manifest,
)
from basins.store.committed import is_committed, shards_there
from basins.store.contents import Contents
from basins.store.digests import DigestBook
from basins.store.files import Files
from basins.store.layers import Layer, read_layers
from basins.store.layout import COMMIT_ORDER
from basins.store.manifest import Manifest, canonical_json
from basins.store.rows import ShardTables
from basins.store.schemas import Tables
from basins.store.verified import DrawnFrom

Step = Callable[[str, int, int], object]
"""Progress callback: what is being done, the number of shards done, and the total."""

TELEMETRY = "telemetry/"
"""Files that are copied unchanged, because no byte of them depends on the schema."""


def migrate(old: Files, new: Files, step: Step = lambda *_: None) -> Manifest:
    """Rewrite the run in `old` into `new`, which is empty or holds the same migration, interrupted.

    The manifest is written last, so that an incomplete copy is not a run. Returns it. Raises RunError if `old` is not a
    run, is in the current schema already or is damaged, and if `new` holds something else.
    """
    there = read_manifest(old)
    if there.schema == schemas.VERSION:
        raise RunError(
            f"a run of schema version {there.schema}, which is the current one", where=old.uri, remedy="use it as it is"
        )
    check_shards(old, there)
    manifest, text = replace(there, schema=schemas.VERSION), experiment_text(old)
    _refuse_other_content(new, text)
    new.put(layout.EXPERIMENT, text.encode())
    keys = {"schema": str(manifest.schema), "experiment": manifest.digest}
    new.put(layout.CASES, parquet.encode(cases_table(manifest), keys))
    layers = read_layers(old, there)
    pairs = [(old, there, new, manifest), *_layers(old, new, layers, manifest)]
    total = sum(
        len(shards_there(source, "trajectories", case.key)) for source, was, _, _ in pairs for case in was.cases
    )
    done = 0
    for source, was, target, becomes in pairs:
        for _ in _shards(source, was, target, becomes):
            done += 1
            step("shards written again", done, total)
        DigestBook(target, becomes).close()
    for path in old.paths(TELEMETRY):
        new.put(path, old.get(path))
    _checked_labels(old, new)
    new.put(layout.MANIFEST, manifest.to_json())
    return manifest


def _refuse_other_content(new: Files, text: str) -> None:
    """Raises RunError unless `new` is empty or holds what this migration wrote before it was interrupted."""
    paths = new.paths("")
    if layout.MANIFEST in paths:
        raise RunError("a run exists there already", where=new.uri, remedy="give an empty or a new folder")
    if paths and (layout.EXPERIMENT not in paths or new.get(layout.EXPERIMENT) != text.encode()):
        raise RunError(f"not empty ({paths[0]} is there)", where=new.uri, remedy="give an empty or a new folder")


def _layers(
    old: Files, new: Files, layers: list[Layer], manifest: Manifest
) -> Iterator[tuple[Files, Contents, Files, Contents]]:
    for layer in layers:
        becomes = replace(layer, manifest=manifest)
        new.put(layout.layer(layer.number) + layout.LAYER, becomes.to_json())
        yield layer.files(old), layer, becomes.files(new), becomes


def _checked_labels(old: Files, new: Files) -> None:
    """Copy the samples of checked labels. Each names the digests of the shards that it was drawn from, which become
    those of the new run.

    A sample whose shards have been computed again since then no longer counts, and is copied unchanged.
    """
    for path in filter(layout.is_record, old.paths(layout.VERIFIED)):
        content = json.loads(old.get(path))
        for case, there in content.get("drawn_from", {}).items():
            drawn = DrawnFrom.from_dict(there)
            if drawn.still(old, case):
                content["drawn_from"][case] = drawn.moved(new, case).to_dict()
        new.put(path, canonical_json(content))


def _shards(old: Files, was: Contents, new: Files, becomes: Contents) -> Iterator[int]:
    """Rewrite every committed shard, except those that an interrupted migration has written already.

    A shard that has lost a file is left out: it is missing in the new run, and the next `basins run` computes it.
    """
    for case in becomes.cases:
        for shard in shards_there(old, "trajectories", case.key):
            if is_committed(old, case.key, shard) and not is_committed(new, case.key, shard):
                read = {kind: parquet.read(old, layout.part(kind, case.key, shard)) for kind in COMMIT_ORDER}
                tables = {kind: table.cast(Tables.of(case.landscape).schema(kind)) for kind, table in read.items()}
                commit_shard(new, becomes, case, shard, ShardTables(**tables))
            yield shard
