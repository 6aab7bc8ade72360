"""Checks the files of shards: SHA-256, footers, page checksums, rows. Each thread holds one shard in memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from basins.errors import RunError
from basins.experiment import Case
from basins.store import Kind, layout, parquet
from basins.store.commit import FOOTER_ORDER, REPLACE_ORDER, encoded, length_of
from basins.store.digests import batch_text, read_batch
from basins.store.layout import COMMIT_ORDER, DIGEST_BATCH
from basins.store.schemas import Tables
from basins.verify.finding import Finding, Trouble
from basins.verify.shard_source import ShardSource

THREADS = 4
"""Shards that are checked in parallel threads: reading waits, and hashing and decoding release the interpreter lock."""

AGREE = 32
"""A recorded digest that agrees with the file's in this many of 64 hexadecimal digits is the file's, misspelt: that of
another file agrees in about 4."""

Step = Callable[[str, int, int], None]
"""Progress callback: what is being done, the number done, and the total."""

Digests = Mapping[Kind, str]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ShardCheck:
    """The check of one committed shard. counts: trajectories by verdict, as its blocks count them, None if the shard is
    damaged; blocks: their numbers; layer: 0 for the base; sha256: of its trajectory file, "" if unread.
    """

    case: str
    shard: int
    findings: tuple[Finding, ...]
    counts: tuple[int, ...] | None
    blocks: Sequence[int] = ()
    layer: int = 0
    sha256: str = ""


def check_shards(
    place: ShardSource, case: Case, shards: list[int], digests: Mapping[int, Digests], same_writer: bool
) -> Iterator[ShardCheck]:
    """Check committed shards of a case, in order. same_writer: whether this pyarrow has the version that wrote the run,
    and so writes the same bytes."""

    def look(shard: int) -> ShardCheck:
        return check_shard(place, case, shard, digests.get(shard), same_writer)

    yield from in_threads(look, shards)


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply the function to each item in threads, a few at a time. Gives the results in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def check_shard(place: ShardSource, case: Case, shard: int, digests: Digests | None, same_writer: bool) -> ShardCheck:
    """Check one shard's three files."""
    found: list[Finding] = []

    def say(kind: Kind, what: str, trouble: Trouble = Trouble.shard) -> None:
        found.append(place.finding(layout.part(kind, case.key, shard), what, trouble, case.key, shard))

    lengths: dict[Kind, int] = {}
    opened: dict[Kind, pq.ParquetFile] = {}
    tables: dict[Kind, pa.Table] = {}
    shas: dict[Kind, str] = {}
    for kind in COMMIT_ORDER:
        try:
            data = place.files.get(layout.part(kind, case.key, shard))
        except FileNotFoundError:
            say(kind, "gone, though its shard was committed")
            continue
        shas[kind] = hashlib.sha256(data).hexdigest()
        known = digests is not None and shas[kind] == digests[kind]
        if digests is not None and not known:
            if sum(a == b for a, b in zip(shas[kind], digests[kind], strict=False)) < AGREE:
                say(kind, "its SHA-256 is not that of the digests")
                continue
            what = f"misspells the digest of {layout.part(kind, case.key, shard)}"
            path = layout.digests(case.key, shard // DIGEST_BATCH)
            found.append(place.finding(path, what, Trouble.digests, case.key, shard))
        try:
            opened[kind] = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            tables[kind] = opened[kind].read(use_threads=False)
            keys = parquet.own_keys(opened[kind].metadata)
            lengths[kind] = length_of(place.contents, case, shard, keys)
            wrong = _wrong_footer(keys, place.contents.footer(case, shard, lengths[kind]))
            if wrong:
                say(kind, wrong)
            elif not known and same_writer and not _matches_rewrite(case, kind, keys, tables[kind], data):
                say(kind, "its rows, written again, give other bytes")
        except Exception as error:  # a flipped bit may make a decoder raise anything
            tables.pop(kind, None)
            say(kind, f"damaged ({' '.join(str(error).split())[:200]})")
    replaced = len(set(lengths.values())) > 1  # a short shard by a longer one, file by file (commit.REPLACE_ORDER)
    if replaced and [lengths[kind] for kind in REPLACE_ORDER if kind in lengths] != sorted(lengths.values())[::-1]:
        say("trajectories", "it has fewer ids than the shard's other files")
    if len(tables) == len(COMMIT_ORDER) and not replaced:
        keys = parquet.own_keys(opened["blocks"].metadata)
        for kind in ("visits", "trajectories"):
            if keys.get(f"sha256.{kind}") != shas[kind]:
                say(kind, "its SHA-256 is not the one that its block file records")
        if str(len(tables["trajectories"])) != keys.get("rows"):
            say("trajectories", f"it has {len(tables['trajectories'])} rows instead of {keys.get('rows')}")
    if all(one.trouble is Trouble.digests for one in found):
        for kind, what in () if replaced else place.wrong_rows(case, shard, tables, lengths["blocks"]):
            say(kind, what, Trouble.content)
    good = all(one.trouble is Trouble.digests for one in found) and not replaced
    names = case.landscape.critical.vocabulary.verdicts
    counts = tuple(sum(tables["blocks"][verdict].to_pylist()) for verdict in names) if good else None
    blocks = tuple(tables["blocks"]["block"].to_pylist()) if good else ()
    return ShardCheck(case.key, shard, tuple(found), counts, blocks, place.layer, shas.get("trajectories", ""))


def _wrong_footer(keys: Mapping[str, str], wanted: Mapping[str, str]) -> str | None:
    differ = [
        f"{name} {keys.get(name)} instead of {value}" for name, value in wanted.items() if keys.get(name) != value
    ]
    return f"belongs to another shard or run: {'; '.join(differ)}" if differ else None


def _matches_rewrite(case: Case, kind: Kind, keys: Mapping[str, str], table: pa.Table, data: bytes) -> bool:
    """Whether the rows and the footer's keys, written again, give these bytes. Finds a flipped bit without a digest."""
    form = Tables.of(case.landscape)
    rows = table.combine_chunks().cast(form.schema(kind))  # drops the metadata that the reader adds to each column
    in_order = {name: keys[name] for name in FOOTER_ORDER if name in keys}
    again: pa.Buffer = encoded(rows, in_order)
    return bool(again.equals(pa.py_buffer(data)))


# --- digests ---------------------------------------------------------------------------------------------------------


def check_digests(
    place: ShardSource, case: Case, there: list[int], complete: bool
) -> tuple[dict[int, dict[Kind, str]], list[Finding], int]:
    """The digests of a case by shard, the problems with their files, and the number of shards without digests.

    complete: whether all planned shards exist, so that every shard should have its digests.
    """
    digests: dict[int, dict[Kind, str]] = {}
    found: list[Finding] = []
    without = 0
    for number in sorted({shard // DIGEST_BATCH for shard in place.contents.shards(case)}):
        path = layout.digests(case.key, number)
        try:
            batch = read_batch(place.files, case.key, number)
            if batch and place.files.get(path) != batch_text(case.key, batch).encode():
                raise RunError("its lines do not match its shards")
        except RunError as error:
            what = error.what.removeprefix(f"{path} is ")
            found.append(place.finding(path, what, Trouble.digests, case.key))
            continue
        digests |= batch
        lacking = [shard for shard in there if shard // DIGEST_BATCH == number and shard not in batch]
        without += len(lacking)
        if lacking and complete:
            what = f"has no line for shard {lacking[0]}" if batch else "gone"
            found.append(place.finding(path, what, Trouble.digests, case.key))
    return digests, found, without
