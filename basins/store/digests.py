"""RUN/digests: SHA-256 of every shard's files, kept by the driver. `cd RUN && sha256sum -c digests/*/*` checks them
all.

A batch covers 1,000 shards of a case in ascending order, with the files of a shard in the order of their commit, so its
name and content depend on nothing but the shards. A batch is written when it is complete, or incomplete when the driver
stops. Digests that a killed driver did not write are taken from the shards themselves: their block files carry the
digests that their writer had in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from basins.errors import RunError
from basins.store import layout
from basins.store.committed import committed_digests, shards_there
from basins.store.contents import Contents
from basins.store.files import Files
from basins.store.layout import COMMIT_ORDER, DIGEST_BATCH, Kind

Digests = Mapping[Kind, str]


def read_batch(files: Files, case: str, batch: int) -> dict[int, dict[Kind, str]]:
    """The digests in a batch, by shard; empty if the batch does not exist. Raises RunError if it is damaged."""
    path = layout.digests(case, batch)
    try:
        content = files.get(path)
    except FileNotFoundError:
        return {}
    found: dict[int, dict[Kind, str]] = {}
    try:
        for line in content.decode().splitlines():
            sha, name = line.split("  ")
            kind, shard = layout.file_of(name)
            found.setdefault(shard, {})[kind] = sha
        if any(len(shas) != len(COMMIT_ORDER) for shas in found.values()):
            raise ValueError("a shard does not have its three lines")
    except ValueError as error:
        raise RunError(
            f"{path} is damaged ({error})", where=files.uri, remedy="move it away and run again: it is written again"
        ) from None
    return found


def batch_text(case: str, shards: Mapping[int, Digests]) -> str:
    """The content of the digest file of these shards."""
    lines = (
        f"{shards[shard][kind]}  {layout.part(kind, case, shard)}\n"
        for shard in sorted(shards)
        for kind in COMMIT_ORDER
    )
    return "".join(lines)


def trajectory_digests(files: Files, case: str, shards: Iterable[int]) -> list[str]:
    """SHA-256 of these shards' trajectory files, as their writers recorded them.

    They come from RUN/digests, or from the block files where a batch is damaged or lacks the shard. A shard that is
    gone gives "".
    """
    found = []
    for number, of_batch in groupby(shards, key=lambda shard: shard // DIGEST_BATCH):
        try:
            batch = read_batch(files, case, number)
        except RunError:
            batch = {}
        found += [
            batch[shard]["trajectories"] if shard in batch else _of_blocks(files, case, shard) for shard in of_batch
        ]
    return found


def _of_blocks(files: Files, case: str, shard: int) -> str:
    try:
        return committed_digests(files, case, shard)["trajectories"]
    except FileNotFoundError:
        return ""


def covered(files: Files, case: str) -> set[int]:
    """The shards of a case that its digests cover. Raises RunError for a damaged batch."""
    found: set[int] = set()
    for path in files.paths(layout.digests_folder(case)):
        batch = layout.batch_of(path)
        if batch is not None:
            found.update(read_batch(files, case, batch))
    return found


class DigestBook:
    """Collects the digests of a run in progress and writes each batch once it is complete."""

    def __init__(self, files: Files, contents: Contents, short: Collection[tuple[str, int]] = ()) -> None:
        """short: shards, (case, shard), that are replaced by longer ones in this session."""
        self.files, self.contents, self.short = files, contents, frozenset(short)
        self.open: dict[tuple[str, int], dict[int, Digests]] = {}
        self.known: dict[tuple[str, int], dict[int, dict[Kind, str]]] = {}

    def add(self, case: str, shard: int, digests: Digests) -> None:
        """Record a finished shard. Raises RunError if its bytes differ from those it had before it was lost."""
        batch = case, shard // DIGEST_BATCH
        known = self._known(batch).get(shard)
        if known is not None and known != dict(digests) and (case, shard) not in self.short:
            raise RunError(
                f"shard {shard} of case {case} was computed again to other bytes",
                where=self.files.uri,
                remedy="keep this run and report it: the same run must give the same bytes",
            )
        shards = self.open.setdefault(batch, {})
        shards[shard] = digests
        if len(shards) == self._size(*batch):
            self._write(batch)

    def close(self) -> None:
        """Write the digests of all shards that exist."""
        self.known.clear()  # a second driver may have written batches in the meantime
        for case in self.contents.cases:
            there = shards_there(self.files, "trajectories", case.key)
            for number, of_batch in groupby(there, key=lambda shard: shard // DIGEST_BATCH):
                batch, shards = (case.key, number), set(of_batch)
                known = self._known(batch)
                if batch in self.open or shards - set(known):
                    rest = shards - set(known) - set(self.open.get(batch, ()))
                    found = {shard: committed_digests(self.files, case.key, shard) for shard in rest}
                    self.open.setdefault(batch, {}).update(found)
                    self._write(batch)
                self.known.pop(batch, None)  # holds only the shards of one batch at a time

    def _size(self, case: str, batch: int) -> int:
        shards = self.contents.shards(self.contents.case(case))
        first = bisect_left(shards, batch * DIGEST_BATCH)
        return bisect_left(shards, (batch + 1) * DIGEST_BATCH) - first

    def _known(self, batch: tuple[str, int]) -> dict[int, dict[Kind, str]]:
        if batch not in self.known:
            self.known[batch] = read_batch(self.files, *batch)
        return self.known[batch]

    def _write(self, batch: tuple[str, int]) -> None:
        case, number = batch
        shards = {**self._known(batch), **self.open.pop(batch, {})}
        self.files.put(layout.digests(case, number), batch_text(case, shards).encode())
        self.known.pop(batch, None)
