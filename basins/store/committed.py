"""Which shards are committed, judged by their files alone, and the digests that their writers recorded."""

from __future__ import annotations

import hashlib

from basins.experiment import Case
from basins.store import layout, parquet
from basins.store.contents import Contents
from basins.store.files import Files
from basins.store.layout import COMMIT_ORDER, Kind


def is_committed(files: Files, case: str, shard: int) -> bool:
    """Whether the shard is committed and all of its files exist."""
    return all(files.exists(layout.part(kind, case, shard)) for kind in reversed(COMMIT_ORDER))


def committed_digests(files: Files, case: str, shard: int) -> dict[Kind, str]:
    """SHA-256 of a committed shard's files, as they were in its writer's memory."""
    path = layout.part("blocks", case, shard)
    keys = parquet.footer(files, path).keys
    shas = {kind: keys.get(f"sha256.{kind}", "") for kind in COMMIT_ORDER}
    shas["blocks"] = hashlib.sha256(files.get(path)).hexdigest()
    return shas


def shards_there(files: Files, kind: Kind, case: str) -> list[int]:
    """The shards of a case that have a file of this kind, ascending. Costs one listing; other files are ignored."""
    folder = layout.folder(kind, case)
    found = (layout.shard_of(path[len(folder) :]) for path in files.paths(folder))
    return sorted(shard for shard in found if shard is not None)


def length_there(files: Files, case: str, shard: int) -> int:
    """How many ids a committed shard has: those that its block file counts (commit.py). Raises FileNotFoundError."""
    path = layout.part("blocks", case, shard)
    try:
        return int(parquet.footer(files, path).keys["trajectories"])
    except (KeyError, ValueError) as error:
        raise parquet.damaged(files, path, f"its footer does not say how many ids it has: {error}") from None


def short_shards(files: Files, contents: Contents, case: Case) -> dict[int, int]:
    """The shards that are there with fewer ids than the plan has, since the run has grown, and how many each has. A
    shard that has lost a file is none of them: it is missing."""
    found = {}
    for shard in contents.growing(case):
        if is_committed(files, case.key, shard):
            length = length_there(files, case.key, shard)
            if length < contents.lengths(case, shard)[0]:
                found[shard] = length
    return found
