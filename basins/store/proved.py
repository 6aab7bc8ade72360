"""RUN/proved: starts whose exact flow was followed to a proof, or was not, row by row; kept for `estimate` and `show`.

A folder for each thing that was asked for: `all` has every id of the shards that it has files of; a sample has ids
drawn at random from the shards without a gap from the first, as its sample.json says, which is written first and never
changes. One file a shard, whose bytes depend on the case (its problem, law, seed), the ids and the version of the proof
alone: not on labels, layers, runner or machine. So a sample is resumed like a run, and `all` grows with one.

Proofs of another version of the proof lie in another folder, and are not read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from basins.errors import RunError
from basins.experiment import Case
from basins.laws import BLOCK
from basins.store import layout, parquet
from basins.store.files import Files
from basins.store.folder import Folder
from basins.store.layout import DIGEST_BATCH
from basins.store.manifest import Manifest, canonical_json
from basins.store.rows import words_of

if TYPE_CHECKING:
    from basins.proof import Proof

VERSION = 1
"""Version of the proof: of what basins/proof proves and by which numbers. Raised whenever one of them changes."""

Ids = NDArray[np.int64]

PROOFS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("proved", pa.bool_(), nullable=False),  # every exact flow from this start goes to a global minimum
        pa.field("reason", pa.dictionary(pa.int8(), pa.string())),  # why not; null where proved
        pa.field("tier", pa.dictionary(pa.int8(), pa.string())),  # the last one that was tried
        pa.field("t", pa.float64()),  # of the last knot, as all that follows
        pa.field("error", pa.float64()),  # radius about the computed state that holds the exact one, units of W
        pa.field("margin", pa.float64()),  # the radius at which the last test would have failed
        pa.field("growth", pa.float64()),  # bound of int max(0, lambda_max(-Hess L)) dt
        pa.field("steps", pa.uint32(), nullable=False),
    ]
)
"""One row a start, by id."""


def words() -> dict[str, tuple[str, ...]]:
    """The words that the codes of a column mean. proof/ is imported where it is needed: a run without proofs does
    without it."""
    from basins.proof import TIERS, UNPROVED

    return {"reason": UNPROVED, "tier": TIERS}


# --- what is to be proved --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proving:
    """Which ids are proved, shard by shard. name: of its folder; of_case: shards, ascending, by case key; sample: what
    sample.json says, None for every id."""

    manifest: Manifest
    name: str
    of_case: Mapping[str, Sequence[int]]
    sample: bytes | None = None

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case for case in self.manifest.cases if self.of_case.get(case.key))

    @property
    def rows(self) -> int:
        """Starts in all."""
        return sum(len(self.ids(case, shard)) for case in self.cases for shard in self.of_case[case.key])

    def files(self, files: Files) -> Folder:
        """Its folder in the run's files."""
        return Folder(files, layout.proved(VERSION, self.name))

    def ids(self, case: Case, shard: int, length: int | None = None) -> Ids:
        """The ids of a shard that are proved, ascending. length: of the shard's ids the first so many, where its file
        is of an earlier stage."""
        ids = self.manifest.ids(self.manifest.case(case.key), shard)[:length]  # the case as it was for a sample
        if self.sample is None:
            return np.arange(ids.start, ids.stop, dtype=np.int64)
        drawn = _drawn(self.sample, self.manifest)[case.key]
        return drawn[slice(*np.searchsorted(drawn, [ids.start, ids.stop]))]

    def footer(self, case: Case, shard: int, length: int | None = None) -> dict[str, str]:
        """What a file's rows depend on. length: ids of the shard, the plan's unless it is given."""
        of_shard = self.manifest.footer(self.manifest.case(case.key), shard, length)
        of = {name: of_shard[name] for name in ("schema", "case", "seed", "law", "first_id", "trajectories")}
        return of | {"proof": str(VERSION), "ids": self.name}


def every_id(manifest: Manifest, of_case: Mapping[str, Sequence[int]]) -> Proving:
    """All ids of these shards."""
    return Proving(manifest, layout.EVERY_ID, of_case)


def sample_of(manifest: Manifest, seed: int, rows: int, prefixes: Mapping[str, int]) -> Proving:
    """So many ids, or all there are, each with the same chance, of the first shards of each case: `prefixes`, by key.

    The shards have no gap: those that are done first are the fast ones, and a sample of these would be biased.
    """
    there = {key: shards for key, shards in prefixes.items() if shards}
    total = sum(_ids(manifest, key, shards) for key, shards in there.items())
    stage = {"stage": manifest.stage} if manifest.stages else {}
    said = {"run": manifest.seed, "seed": seed, "rows": min(rows, total), "shards": there, **stage}
    return _sample(canonical_json(said), manifest)


def _sample(content: bytes, manifest: Manifest) -> Proving:
    name = layout.proved_sample(json.loads(content)["seed"], hashlib.sha256(content).hexdigest()[:12])
    size = BLOCK * manifest.blocks_per_shard
    of_case = {key: np.unique(ids // size).tolist() for key, ids in _drawn(content, manifest).items()}
    return Proving(manifest, name, of_case, content)


@lru_cache(maxsize=4)
def _drawn(content: bytes, manifest: Manifest) -> dict[str, Ids]:
    """The ids of a sample by case key, ascending."""
    said = json.loads(content)
    cases = [case for case in manifest.cases if case.key in said["shards"]]
    sizes = [_ids(manifest, case.key, said["shards"][case.key]) for case in cases]
    key = np.frombuffer(hashlib.sha256(content).digest()[:16], dtype="<u8")
    rng = np.random.Generator(np.random.Philox(key=key))
    chosen = np.sort(rng.choice(sum(sizes), said["rows"], replace=False)).astype(np.int64)
    ends = np.cumsum([0, *sizes])
    edges = np.searchsorted(chosen, ends)
    return {case.key: chosen[edges[k] : edges[k + 1]] - ends[k] for k, case in enumerate(cases)}


def _ids(manifest: Manifest, key: str, shards: int) -> int:
    case = manifest.case(key)
    return min(case.trajectories, shards * manifest.blocks_per_shard * BLOCK)


def named(files: Files, manifest: Manifest, name: str) -> Proving:
    """What a folder of this name holds, or is to hold: of `all` every shard of the plan. Raises RunError for a sample
    that is gone, damaged or of another run."""
    if name == layout.EVERY_ID:
        return every_id(manifest, {case.key: manifest.shards(case) for case in manifest.cases})
    path = layout.proved(VERSION, name) + layout.SAMPLE
    try:
        content = files.get(path)
        said = json.loads(content)
        if said["run"] != manifest.seed or content != canonical_json(said):
            raise ValueError("it is of another run, or was edited")
        manifest = manifest.as_of(said.get("stage", 1))  # a sample is of the stage that it was drawn in
        for key, shards in said["shards"].items():
            if not 0 < shards <= len(manifest.shards(manifest.case(key))):
                raise ValueError(f"case {key} has not {shards} shards")
        proving = _sample(content, manifest)
        if proving.name != name:
            raise ValueError("it does not have the digest that its folder is named by")
    except FileNotFoundError:
        raise damaged(files, path, "gone") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(files, path, error) from None
    return proving


def names_there(files: Files) -> list[str]:
    """The folders of proofs of this version that a run has, sorted."""
    prefix = layout.proved(VERSION, "")[:-1]
    return sorted({path[len(prefix) :].partition("/")[0] for path in files.paths(prefix) if "/" in path[len(prefix) :]})


def damaged(files: Files, path: str, why: object) -> RunError:
    remedy = "`basins verify RUN --repair` sets it aside; then prove again"
    return RunError(f"{path} is damaged ({' '.join(str(why).split())})", where=files.uri, remedy=remedy)


# --- its files -------------------------------------------------------------------------------------------------------


def table_of(ids: Ids, proof: Proof) -> pa.Table:
    """The rows of ascending ids (N,), whose proofs these are."""
    of = words()
    columns = [
        pa.array(ids, pa.int64()),
        pa.array(proof.proved, pa.bool_()),
        words_of(proof.reason, of["reason"]),
        words_of(proof.tier, of["tier"]),
        *(_known(values) for values in (proof.t, proof.error, proof.margin, proof.growth)),
        pa.array(np.maximum(proof.steps, 0), pa.uint32()),
    ]
    return pa.Table.from_arrays(columns, schema=PROOFS)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of consecutive ids, one chunk a column."""
    return pa.concat_tables([PROOFS.empty_table(), *tables]).combine_chunks()


def sha256_of(files: Files, case: str, shard: int) -> str:
    """Of a shard's file, as it is there."""
    return hashlib.sha256(files.get(layout.proofs(case, shard))).hexdigest()


def _known(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def encoded(table: pa.Table, keys: Mapping[str, str]) -> pa.Buffer:
    """The bytes of a file with these rows."""
    proved = int(pc.sum(table["proved"].cast(pa.int64())).as_py() or 0)
    return parquet.encode(parquet.with_words_in_use(table), {**keys, "rows": str(len(table)), "proved": str(proved)})


def commit(files: Files, proving: Proving, case: Case, shard: int, table: pa.Table) -> str:
    """Write the proofs of a shard's ids into the folder's files; their SHA-256."""
    data = encoded(table, proving.footer(case, shard))
    files.put(layout.proofs(case.key, shard), data)
    return hashlib.sha256(data).hexdigest()


def there(files: Files, case: str) -> list[int]:
    """The shards of a case that have a file in this folder, ascending."""
    found = map(layout.proofs_of, files.paths(f"rows/case={case}/"))
    return sorted(one[1] for one in found if one is not None)


def missing(files: Files, proving: Proving, case: Case) -> list[int]:
    """The shards that are still to be proved."""
    done = frozenset(there(files, case.key))
    short = short_there(files, proving, case)
    return [shard for shard in proving.of_case[case.key] if shard not in done or shard in short]


def short_there(files: Files, proving: Proving, case: Case) -> frozenset[int]:
    """The shards whose file has fewer ids than the plan, since the run has grown."""
    found = set()
    for shard in proving.manifest.growing(case):
        path = layout.proofs(case.key, shard)
        if files.exists(path):
            length = length_of(proving, case, shard, parquet.footer(files, path).keys)
            if length < proving.manifest.lengths(proving.manifest.case(case.key), shard)[0]:
                found.add(shard)
    return frozenset(found)


def length_of(proving: Proving, case: Case, shard: int, keys: Mapping[str, str]) -> int:
    """How many of its shard's ids a file is of by its footer, if it may be of so many; else those of the plan."""
    lengths = proving.manifest.lengths(proving.manifest.case(case.key), shard)
    return next((length for length in lengths if keys.get("trajectories") == str(length)), lengths[0])


def counts(files: Files, proving: Proving, case: Case, shard: int) -> tuple[int, int]:
    """Rows of a shard, and those proved, by its footer. Raises RunError for a file that is damaged or another's."""
    path = layout.proofs(case.key, shard)
    try:
        footer = parquet.footer(files, path)
    except parquet.Damaged as error:
        raise damaged(files, path, error.what) from None
    length = length_of(proving, case, shard, footer.keys)
    wrong = [name for name, value in proving.footer(case, shard, length).items() if footer.keys.get(name) != value]
    if wrong:
        raise damaged(files, path, f"of another {', '.join(wrong)}")
    try:
        rows, proved = int(footer.keys["rows"]), int(footer.keys["proved"])
    except (KeyError, ValueError):
        raise damaged(files, path, "its footer has no counts") from None
    if rows != footer.rows or rows != len(proving.ids(case, shard, length)) or not 0 <= proved <= rows:
        raise damaged(files, path, f"{footer.rows} rows, where its footer and its ids say others")
    return rows, proved


def read(files: Files, case: Case, shard: int, columns: list[str] | None = None, where: Any = None) -> pa.Table:
    """The rows of a shard, the whole vocabulary as the dictionary of each text column. Raises RunError for a damaged
    file, FileNotFoundError."""
    path = layout.proofs(case.key, shard)
    try:
        table = parquet.read(files, path, columns, where).replace_schema_metadata(None)
        return parquet.with_whole_vocabulary(table, words())
    except (parquet.Damaged, ValueError) as error:
        raise damaged(files, path, error.what if isinstance(error, RunError) else error) from None


def row_of(files: Files, manifest: Manifest, case: Case, id: int) -> dict[str, Any] | None:
    """What was found of one start, None where it was not tried. Raises RunError for a damaged file."""
    shard = id // BLOCK // manifest.blocks_per_shard
    for name in names_there(files):
        try:
            table = read(Folder(files, layout.proved(VERSION, name)), case, shard, where=pc.field("id") == id)
        except FileNotFoundError:
            continue
        if len(table):
            row: dict[str, Any] = table.to_pylist()[0]
            return row
    return None


# --- digests ---------------------------------------------------------------------------------------------------------


def read_batch(files: Files, case: str, batch: int) -> dict[int, str]:
    """SHA-256 by shard, as far as the batch goes. Raises RunError for a damaged one."""
    path = layout.digests(case, batch)
    try:
        content = files.get(path).decode()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise damaged(files, path, error) from None
    found = {}
    for line in content.splitlines():
        sha, _, name = line.partition("  ")
        whose = layout.proofs_of(name)
        if whose is None or whose[0] != case or whose[1] // DIGEST_BATCH != batch:
            raise damaged(files, path, f"{line[:80]!r}")
        found[whose[1]] = sha
    if content != batch_text(case, found):
        raise damaged(files, path, "its lines are not those of its shards")
    return found


def batch_text(case: str, shards: Mapping[int, str]) -> str:
    """What a digest file of these shards says, in its one spelling."""
    return "".join(f"{shards[shard]}  {layout.proofs(case, shard)}\n" for shard in sorted(shards))


class ProofDigests:
    """Digests of a folder of proofs, kept by the driver: told of shards as they are done, written when it closes."""

    def __init__(self, files: Files, proving: Proving) -> None:
        self.files, self.proving = files, proving
        self.short = {case.key: self._forget_short(case) for case in proving.cases}
        self.new: dict[tuple[str, int], dict[int, str]] = {}

    def _forget_short(self, case: Case) -> frozenset[int]:
        """Drop the lines of files that are to be replaced, since the run has grown."""
        short = short_there(self.files, self.proving, case)
        for shard in short:
            path = layout.digests(case.key, shard // DIGEST_BATCH)
            batch = read_batch(self.files, case.key, shard // DIGEST_BATCH)
            if batch.pop(shard, None) is not None:
                if batch:
                    self.files.put(path, batch_text(case.key, batch).encode())
                else:
                    self.files.delete(path)
        return short

    def add(self, case: str, shard: int, sha: str) -> None:
        """A shard is done. Raises RunError where its bytes are not those that it had before it was lost."""
        batch = case, shard // DIGEST_BATCH
        if shard in self.short.get(case, ()):
            self.new.setdefault(batch, {})[shard] = sha
            return
        if read_batch(self.files, *batch).get(shard, sha) != sha:
            raise RunError(
                f"shard {shard} of case {case} was proved again to other bytes",
                where=self.files.uri,
                remedy="keep this run and report it: the same starts must give the same bytes",
            )
        self.new.setdefault(batch, {})[shard] = sha

    def close(self) -> None:
        """Write what is known of the shards that are there; of those that a killed driver left, by their bytes."""
        for case in self.proving.cases:
            done = there(self.files, case.key)
            for number, of_batch in groupby(done, key=lambda shard: shard // DIGEST_BATCH):
                known = read_batch(self.files, case.key, number)
                shas = {**known, **self.new.get((case.key, number), {})}
                for shard in of_batch:
                    if shard not in shas:
                        counts(self.files, self.proving, case, shard)  # not the digest of what cannot be right
                        shas[shard] = sha256_of(self.files, case.key, shard)
                if shas != known:
                    self.files.put(layout.digests(case.key, number), batch_text(case.key, shas).encode())


def folders(files: Files, manifest: Manifest) -> Iterator[tuple[Proving, Folder]]:
    """The folders of proofs that a run has, `all` first. Raises RunError for a damaged sample.json."""
    for name in names_there(files):
        proving = named(files, manifest, name)
        yield proving, proving.files(files)
