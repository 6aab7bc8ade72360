"""The paths of everything in a run. No other module spells them.

experiment.toml, manifest.json, cases.parquet          the run's definition
data.npz, data-2.npz, ...                              the data of an experiment made from arrays, one pair per file
visits/case=KEY/part-00000000.parquet                  the three files of a shard, in the order in which they are
blocks/case=KEY/part-00000000.parquet                  committed; the presence of the third is
trajectories/case=KEY/part-00000000.parquet            the shard's only commit mark
digests/case=KEY/batch-00000000.sha256                 SHA-256 of all three files, 1,000 shards a file, as `sha256sum
-c` reads it
verified/seed-0-DIGEST.json                            labels that `basins verify` checked, one file per sample of rows
proved/1/all/rows/case=KEY/part-00000000.parquet       starts that `basins verify --prove all` tried to prove, by the
                                                       version of the proof: one file per shard, one row per id
proved/1/seed-0-DIGEST/sample.json, rows/...           a random sample of the run's starts, and what it was drawn from
proved/1/.../digests/..., telemetry/...                like those of the shards
set-aside/0001/...                                     files that `basins verify --repair` moved, at their paths below
                                                       this folder
telemetry/DRIVER-00000000.jsonl                        clocks, hosts, attempts, memory
layer-0001/layer.json                                  the shards and the budget of one `basins extend`
layer-0001/visits/..., blocks/, ..., telemetry/...     and its files, laid out like those above
"""

from __future__ import annotations

import re
from typing import Literal, cast, get_args

Kind = Literal["visits", "blocks", "trajectories"]
COMMIT_ORDER: tuple[Kind, ...] = get_args(Kind)
"""A shard's files in the order in which they are written: where the last one exists, all exist."""

EXPERIMENT = "experiment.toml"
MANIFEST = "manifest.json"
CASES = "cases.parquet"
CREATION_FILES = (EXPERIMENT, CASES, MANIFEST)
"""The files that creation writes. The manifest is the last: its presence makes a folder a run."""

LAYER = "layer.json"
"""The file in a layer's folder that defines the layer."""

TELEMETRY_LINES = 1000
"""The number of lines in a telemetry file. A full file is not written again."""

DIGEST_BATCH = 1000
"""The number of shards that a digest file covers."""

_NAME = re.compile(r"part-(\d{8,})\.parquet")
_RECORD = re.compile(r"verified/seed-\d+-[^/]+\.json")
_PROOFS = re.compile(r"rows/case=([^/]+)/part-(\d{8,})\.parquet")
_TELEMETRY = re.compile(r"(?:[^/]+/)?telemetry/[^/.][^/]*-\d{8,}\.jsonl")
_SYSTEM = re.compile(r"\._.*|\.nfs.*|\.DS_Store|\.directory|\.fuse_hidden.*|Thumbs\.db|desktop\.ini", re.IGNORECASE)
_PART = re.compile(r"(visits|blocks|trajectories)/case=([^/]+)/part-(\d{8,})\.parquet")


def is_system_file(path: str) -> bool:
    """Whether it is a file that operating systems leave behind: macOS's ._NAME, NFS's .nfs..., Thumbs.db."""
    return _SYSTEM.fullmatch(path.rpartition("/")[2]) is not None


def foreign(path: str) -> bool:
    """Whether a file in a shard folder is, by its name, not a shard's: an editor, a system or another tool left it."""
    name = path.rpartition("/")[2]
    return name.startswith((".", "_")) or not name.endswith(".parquet")


def is_record(path: str) -> bool:
    """Whether it is a path of `verified`."""
    return _RECORD.fullmatch(path) is not None


def is_telemetry(path: str) -> bool:
    """Whether it is a path of `telemetry`, of the run or of a layer."""
    return _TELEMETRY.fullmatch(path) is not None


def part(kind: Kind, case: str, shard: int) -> str:
    """The path of one of a shard's three files."""
    return f"{kind}/case={case}/part-{shard:08d}.parquet"


def folder(kind: Kind, case: str) -> str:
    """The folder of a case's files of one kind, with its "/"."""
    return f"{kind}/case={case}/"


def shard_of(name: str) -> int | None:
    """The shard number in the name of a file in such a folder, None for any other file."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])


def file_of(path: str) -> tuple[Kind, int]:
    """Kind and shard of a path of `part`. Raises ValueError for any other path."""
    match = _PART.fullmatch(path)
    if match is None:
        raise ValueError(f"{path} is not a file of a shard")
    return cast(Kind, match[1]), int(match[3])


def case_of(path: str) -> str:
    """The case of a path of `part`. Raises ValueError for any other path."""
    match = _PART.fullmatch(path)
    if match is None:
        raise ValueError(f"{path} is not a file of a shard")
    return match[2]


def digests(case: str, batch: int) -> str:
    return f"digests/case={case}/batch-{batch:08d}.sha256"


VERIFIED = "verified/"
PROVED = "proved/"
SET_ASIDE = "set-aside/"


def verified(seed: int, digest: str) -> str:
    return f"{VERIFIED}seed-{seed}-{digest}.json"


EVERY_ID = "all"
SAMPLE = "sample.json"
"""The file in the folder of a sample of starts that says what the sample was drawn from."""


def proved(version: int, name: str) -> str:
    """A folder of proofs, with its "/". version: of the proof; name: EVERY_ID or a name from `proved_sample`."""
    return f"{PROVED}{version}/{name}/"


def proved_sample(seed: int, digest: str) -> str:
    """The name of a sample's folder."""
    return f"seed-{seed}-{digest}"


def proofs(case: str, shard: int) -> str:
    """The path, within a folder of proofs, of the proofs of one shard's ids."""
    return f"rows/case={case}/part-{shard:08d}.parquet"


def proofs_of(path: str) -> tuple[str, int] | None:
    """Case and shard of a path of `proofs`, None for any other path."""
    match = _PROOFS.fullmatch(path)
    return None if match is None else (match[1], int(match[2]))


def set_aside(number: int) -> str:
    """The folder of the number-th repair, with its "/"."""
    return f"{SET_ASIDE}{number:04d}/"


def digests_folder(case: str) -> str:
    """The folder of a case's digests, with its "/"."""
    return f"digests/case={case}/"


def batch_of(path: str) -> int | None:
    """The batch of a path of `digests`, None for any other path."""
    match = re.fullmatch(r"digests/case=[^/]+/batch-(\d{8,})\.sha256", path)
    return None if match is None else int(match[1])


def telemetry(driver: str, number: int) -> str:
    return f"telemetry/{driver}-{number:08d}.jsonl"


def layer(number: int) -> str:
    """The folder of a layer (from 1), with its "/"."""
    return f"layer-{number:04d}/"
