"""Sets damaged files aside: they move to RUN/set-aside/NNNN/ at their own paths, and none is deleted before its copy
there has been read back.

This leaves a run with missing shards, which the next `basins run` computes again. The digests of a shard whose bytes
were damaged stay, and the recomputed shard is compared with them. If the rows are wrong although the bytes are those
that were written, the digests belong to wrong rows and are set aside with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from basins.errors import RunError
from basins.store import Files, Manifest, layout, parquet
from basins.store.commit import cases_table
from basins.store.committed import committed_digests, is_committed
from basins.store.digests import DigestBook, batch_text, read_batch
from basins.store.layout import COMMIT_ORDER, DIGEST_BATCH
from basins.store.manifest import canonical_json, refuse_read_only
from basins.verify.finding import Finding, Trouble
from basins.verify.shard_source import ShardSource

SHARD = (Trouble.shard, Trouble.content)
ASIDE = (Trouble.stray, Trouble.cases, Trouble.proofs)
REPAIRED = (*SHARD, Trouble.digests, *ASIDE)
"""The kinds of damage that a repair sets aside."""


def repair(
    files: Files, manifest: Manifest, shard_sources: Sequence[ShardSource], findings: Sequence[Finding]
) -> str | None:
    """Set damaged files aside and bring the digests up to date. Returns the folder they went to, None if there is no
    damage.

    Raises RunError if a file cannot be moved. Files moved by then stay moved, and the same call continues.
    """
    mine = [one for one in findings if one.trouble in REPAIRED]
    if not mine:
        return None
    refuse_read_only(manifest, files.uri)
    taken = {path.split("/")[1] for path in files.paths(layout.SET_ASIDE)}
    folder = layout.set_aside(next(k for k in range(1, 10_000) if f"{k:04d}" not in taken))
    why: dict[str, list[str]] = {}
    for one in mine:
        why.setdefault(one.path, []).append(one.what)
    files.put(f"{folder}why.json", canonical_json(why))
    for place in shard_sources:
        here = [one for one in mine if one.layer == place.layer]
        if here:
            _repair(files, place, here, folder)
    if any(one.trouble is Trouble.cases for one in mine):
        keys = {"schema": str(manifest.schema), "experiment": manifest.digest}
        files.put(layout.CASES, parquet.encode(cases_table(manifest), keys))
    return folder


def _repair(files: Files, place: ShardSource, mine: Sequence[Finding], folder: str) -> None:
    """Repair one folder of shards."""
    damaged_digests = {one.path for one in mine if one.trouble is Trouble.digests}
    shards = _shards(one for one in mine if one.trouble in SHARD)
    wrong_rows = _shards(one for one in mine if one.trouble is Trouble.content)
    harmed = _shards(one for one in mine if one.path.startswith(place.path("blocks/")))
    for case, shard in sorted(shards):
        if (case, shard) not in wrong_rows | harmed:
            _keep_digests(place, case, shard, damaged_digests)
        for kind in reversed(COMMIT_ORDER):  # the commit mark first: no reader may see a shard without all its files
            _move(files, place.path(layout.part(kind, case, shard)), folder)
    for path in sorted(damaged_digests | {one.path for one in mine if one.trouble in ASIDE}):
        _move(files, path, folder)
    for case, shard in sorted(wrong_rows):
        _forget_digests(files, place, case, shard, folder)
    DigestBook(place.files, place.contents).close()  # writes the missing digests of existing shards


def _shards(findings: Iterable[Finding]) -> set[tuple[str, int]]:
    return {(one.case, one.shard) for one in findings if one.case is not None and one.shard is not None}


def _move(files: Files, path: str, folder: str) -> None:
    try:
        content = files.get(path)
    except FileNotFoundError:
        return
    files.put(f"{folder}{path}", content)
    if files.get(f"{folder}{path}") != content:
        raise RunError(
            f"the copy of {path} differs from it", where=files.uri, remedy="check the disk, then repair again"
        )
    files.delete(path)


def _keep_digests(place: ShardSource, case: str, shard: int, damaged: set[str]) -> None:
    """Write the digests of a shard that RUN/digests does not cover yet, as its block file recorded them."""
    path = layout.digests(case, shard // DIGEST_BATCH)
    if place.path(path) in damaged or not is_committed(place.files, case, shard):
        return
    batch = read_batch(place.files, case, shard // DIGEST_BATCH)
    if shard not in batch:
        batch[shard] = committed_digests(place.files, case, shard)
        place.files.put(path, batch_text(case, batch).encode())


def _forget_digests(files: Files, place: ShardSource, case: str, shard: int, folder: str) -> None:
    """Set aside the digests of a shard with wrong rows, so that the recomputed shard is not compared with them."""
    path = layout.digests(case, shard // DIGEST_BATCH)
    batch = read_batch(place.files, case, shard // DIGEST_BATCH)
    if shard not in batch:
        return
    lines = batch_text(case, {shard: batch.pop(shard)})
    aside = place.path(f"digests/case={case}/shard-{shard:08d}.sha256")
    files.put(f"{folder}{aside}", lines.encode())
    if batch:
        place.files.put(path, batch_text(case, batch).encode())
    else:
        place.files.delete(path)


def was_set_aside(place: ShardSource, files: Files) -> set[tuple[str, int]]:
    """The shards (case, shard) of this source from which a repair has taken a file."""
    found = set()
    for path in files.paths(layout.SET_ASIDE):
        inside = "/".join(path.split("/")[2:])
        if place.layer and not inside.startswith(place.path("")):
            continue
        try:
            inside = inside.removeprefix(place.path(""))
            found.add((layout.case_of(inside), layout.file_of(inside)[1]))
        except ValueError:
            continue
    return found
