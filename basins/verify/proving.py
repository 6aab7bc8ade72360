"""RUN/proved looked at: are its files what was written, and does a label contradict a proof?

Every file of this version of the proof has the SHA-256 of its digests, the footer of its place, the ids of its place,
rows that agree with themselves; some starts are proved again, and must give the same row, bit for bit. What is found
belongs to no shard: damaged proofs are set aside by a repair, and proved again by the command that proved them.

A row that the run labels saddle and whose start is proved to flow to a global minimum is an error of the label, which
no repair mends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from basins.errors import RunError
from basins.estimate.proved import saddles_proved
from basins.execution.proving import prove_ids, unprovable
from basins.experiment import Case
from basins.store import Files, Manifest, layout, parquet, proved
from basins.store.folder import Folder
from basins.store.layered_view import View
from basins.store.layout import DIGEST_BATCH
from basins.store.proved import Proving
from basins.verify.finding import Finding, Trouble
from basins.verify.shards import Step

RECOMPUTE = 64
"""Starts that are proved again at one look."""


@dataclass(frozen=True)
class Contradiction:
    """A row labelled saddle (case by key) whose start is proved to flow to a global minimum."""

    case: str
    id: int


@dataclass(frozen=True)
class ProvedCheck:
    """What a look at RUN/proved gave. starts, proved: rows of files without fault; missing: shards of what was begun
    and is not done; again: starts that were proved again; findings, foreign: as of the run's shards; contradictions:
    rows labelled saddle that are proved minima; others: folders of other versions of the proof, which are not read.
    """

    starts: int = 0
    proved: int = 0
    missing: int = 0
    again: int = 0
    findings: tuple[Finding, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    foreign: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "starts": self.starts,
            "proved": self.proved,
            "missing": self.missing,
            "proved_again": self.again,
            "contradictions": [{"case": one.case, "id": one.id} for one in self.contradictions],
            "other_versions": list(self.others),
        }


def check_proved(
    files: Files, manifest: Manifest, view: View, same_writer: bool, again: bool, seed: int, step: Step
) -> ProvedCheck | None:
    """Look at all of RUN/proved, None where there is nothing. same_writer: this pyarrow writes the bytes that the run's
    wrote; again: whether starts are proved again, drawn by seed, and compared."""
    paths = files.paths(layout.PROVED)
    if not paths:
        return None
    mine = layout.proved(proved.VERSION, "")[:-1]
    others, findings, foreign = set[str](), [], []
    for path in paths:
        version = path.split("/")[1]
        if version.isdecimal() and not path.startswith(mine):
            others.add(f"{layout.PROVED}{version}/")
        elif "/" not in path.removeprefix(mine) or not path.startswith(mine):
            if _of_others(path):
                foreign.append(path)
            else:
                findings.append(Finding(path, "no file of proofs", Trouble.proofs))
    looks, set_aside = [], files.paths(layout.SET_ASIDE)
    for name in proved.names_there(files):
        try:
            proving = proved.named(files, manifest, name)
        except RunError as error:
            at = f"{mine}{name}/{layout.SAMPLE}"
            what = error.what.removeprefix(f"{at} is ")
            # Without it nothing of the folder means anything: all of it goes.
            inside = [path for path in paths if path.startswith(f"{mine}{name}/")]
            findings += [Finding(path, what if path == at else f"{at} is {what}", Trouble.proofs) for path in inside]
            continue
        look = _Look(files, proving, same_writer, step)
        look.aside = {path.split("/", 2)[2] for path in set_aside if path.count("/") > 1}
        look.all([path.removeprefix(f"{mine}{name}/") for path in paths if path.startswith(f"{mine}{name}/")])
        looks.append(look)
        findings += look.findings
        foreign += look.foreign
    seen: set[Contradiction] = set()
    for look in looks:
        for case, shard in look.good:
            seen.update(Contradiction(case.key, id) for id in _saddles(view, look, case, shard))
    counted = [one for look in looks for one in look.counts]
    done, wrong = _again(manifest, looks, seed, step) if again else (0, [])
    order = {case.key: number for number, case in enumerate(manifest.cases)}
    return ProvedCheck(
        starts=sum(rows for rows, _ in counted),
        proved=sum(of for _, of in counted),
        missing=sum(look.missing for look in looks),
        again=done,
        findings=(*findings, *wrong),
        contradictions=tuple(sorted(seen, key=lambda one: (order[one.case], one.id))),
        foreign=tuple(foreign),
        others=tuple(sorted(others)),
    )


def _of_others(path: str) -> bool:
    """Whether an editor or a system leaves files of such names."""
    return path.rpartition("/")[2].startswith((".", "_")) or layout.is_system_file(path)


class _Look:
    """One folder of proofs."""

    def __init__(self, files: Files, proving: Proving, same_writer: bool, step: Step) -> None:
        self.proving, self.same_writer, self.step = proving, same_writer, step
        self.files: Folder = proving.files(files)
        self.findings: list[Finding] = []
        self.foreign: list[str] = []
        self.good: list[tuple[Case, int]] = []
        self.counts: list[tuple[int, int]] = []
        self.missing = 0
        self.aside: set[str] = set()

    def say(self, path: str, what: str) -> None:
        self.findings.append(Finding(self.files.prefix + path, what, Trouble.proofs))

    def all(self, paths: list[str]) -> None:
        """Look at these paths, all that the folder has."""
        there: dict[str, list[int]] = {}
        cases = {case.key: case for case in self.proving.cases}
        refused = {key for key, case in cases.items() if unprovable(case) is not None}
        for path in paths:
            whose = layout.proofs_of(path)
            if whose is not None and whose[0] in cases and whose[1] in self.proving.of_case[whose[0]]:
                if whose[0] in refused:
                    self.say(path, "of a case of which nothing can be proved")
                else:
                    there.setdefault(whose[0], []).append(whose[1])
            elif not self._known(path):
                if _of_others(path) or (path.startswith("rows/") and layout.foreign(path)):
                    self.foreign.append(self.files.prefix + path)
                else:
                    self.say(path, "no file of proofs of this run")
        of, done = sum(map(len, there.values())), 0
        for key in cases:
            shards = there.get(key, [])
            digests = self._digests(key, shards)
            for shard in sorted(shards):
                self.step("proofs looked at", done, of)
                done += 1
                self._one(cases[key], shard, digests)
        if self.proving.sample is not None:
            self.missing = sum(len(self.proving.of_case[key]) - len(there.get(key, ())) for key in cases)

    def _known(self, path: str) -> bool:
        if path.startswith("telemetry/"):
            return layout.is_telemetry(path)
        if path.startswith("digests/"):
            return layout.batch_of(path) is not None and path.split("/")[1][5:] in self.proving.of_case
        return path == layout.SAMPLE and self.proving.sample is not None

    def _digests(self, key: str, shards: list[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        for number in sorted({shard // DIGEST_BATCH for shard in self.proving.of_case[key]}):
            path = layout.digests(key, number)
            try:
                found |= proved.read_batch(self.files, key, number)
            except RunError as error:
                self.say(path, error.what.removeprefix(f"{path} is "))
        for shard in sorted(set(found) - set(shards)):
            path = layout.proofs(key, shard)
            if self.files.prefix + path not in self.aside:
                self.say(path, "gone, though its digest is known")
        return found

    def _one(self, case: Case, shard: int, digests: dict[int, str]) -> None:
        path = layout.proofs(case.key, shard)
        try:
            data = self.files.get(path)
            if shard in digests and hashlib.sha256(data).hexdigest() != digests[shard]:
                self.say(path, "its SHA-256 is not that of the digests")
                return
            opened = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            table = opened.read(use_threads=False)
            keys = parquet.own_keys(opened.metadata)
            wrong = next(self._wrong(case, shard, table, keys, data), None)
        except Exception as error:  # whatever a flipped bit makes a decoder do, it is this file's damage
            wrong = f"damaged ({' '.join(str(error).split())[:200]})"
        if wrong is None:
            self.good.append((case, shard))
            self.counts.append((len(table), int(keys["proved"])))
        else:
            self.say(path, wrong)
            if shard in digests:  # written so: what is proved again must not be held to it
                self.say(layout.digests(case.key, shard // DIGEST_BATCH), f"has the digest of {path}, which is wrong")

    def _wrong(self, case: Case, shard: int, table: pa.Table, keys: dict[str, str], data: bytes) -> Iterator[str]:
        """What contradicts what in a file."""
        length = proved.length_of(self.proving, case, shard, keys)
        wanted = self.proving.footer(case, shard, length)
        differ = [name for name, value in wanted.items() if keys.get(name) != value]
        if differ:
            yield f"of other starts: its footer differs in {', '.join(differ)}"
            return
        rows = table.replace_schema_metadata(None).cast(proved.PROOFS).combine_chunks()
        if not np.array_equal(rows["id"].to_numpy(), self.proving.ids(case, shard, length)):
            yield "its ids are not those that were to be proved"
        columns = parquet.with_whole_vocabulary(rows, proved.words())
        is_proved = rows["proved"].to_numpy()
        if not np.array_equal(is_proved, columns["reason"].is_null().to_numpy()):
            yield "a row that is proved has a reason why not, or one that is not has none"
        error, margin = (rows[name].to_numpy()[is_proved] for name in ("error", "margin"))
        if not (error < margin).all():
            yield "a row is proved whose error is not below its margin"
        if keys.get("rows") != str(len(rows)) or keys.get("proved") != str(int(is_proved.sum())):
            yield "its footer counts other rows"
        if self.same_writer and not proved.encoded(rows, wanted).equals(pa.py_buffer(data)):
            yield "not the bytes that its rows are written as"


def _saddles(view: View, look: _Look, case: Case, shard: int) -> list[int]:
    """The ids of a shard that are labelled saddle and proved; none where its labels cannot be read, or are not there:
    that is said of the shard itself."""
    if not view.files.exists(layout.part("trajectories", case.key, shard)):
        return []
    try:
        return saddles_proved(view, case, look.files, shard)
    except RunError:
        return []


def _again(manifest: Manifest, looks: list[_Look], seed: int, step: Step) -> tuple[int, list[Finding]]:
    """Starts of files without fault proved again, each with the same chance."""
    ends = np.cumsum([rows for look in looks for rows, _ in look.counts], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    rng = np.random.Generator(np.random.Philox(key=[seed, 1]))
    drawn = np.sort(rng.choice(max(1, total), min(RECOMPUTE, total), replace=False))
    files = [(look, case, shard) for look in looks for case, shard in look.good]
    at = np.searchsorted(ends, drawn, side="right")
    findings = []
    done = 0
    for k in np.unique(at):
        step("starts proved again", done, len(drawn))
        look, case, shard = files[k]
        rows = proved.read(look.files, case, shard)
        some = rows.take(drawn[at == k] - (ends[k] - len(rows))).combine_chunks()
        done += len(some)
        found = prove_ids(case, manifest.seed, some["id"].to_numpy())
        differ = [a["id"] for a, b in zip(some.to_pylist(), found.to_pylist(), strict=True) if a != b]
        if differ:
            what = f"id {differ[0]} proved again is another row"
            findings.append(Finding(look.files.prefix + layout.proofs(case.key, shard), what, Trouble.computed))
    return done, findings
