"""Is a run what it was written as, and are its labels right? Start at `verify`.

Of bytes: manifest, experiment and table of cases agree (whole.py); every file of every shard, of the base and of each
layer over it (place.py), has the SHA-256 that its writer had in memory, a footer of this run and place, intact pages,
the rows of the plan, ids once, blocks that count them (shards.py, contents.py); random blocks are computed again and
compared bit for bit (again.py). Of labels: a random sample of rows is integrated again, 100 times tighter, by another
solver (labels.py), and what it gives is kept in RUN/verified, where `estimate` finds it. Of proofs: RUN/proved is
looked at like the shards, and no row labelled saddle may be proved a minimum (proving.py). repair.py sets damage aside.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from basins.errors import ArgumentError, RunError
from basins.store import Files, Manifest, files_at, layout, read_manifest
from basins.store.committed import shards_there
from basins.store.layered_view import View
from basins.store.layers import read_layers
from basins.store.verified import read_checks
from basins.verify.finding import Finding, Trouble
from basins.verify.labels import Group, LabelCheck, check_labels, under
from basins.verify.proving import Contradiction, ProvedCheck, check_proved
from basins.verify.recompute import BlocksAgain, compute_again
from basins.verify.repair import REPAIRED, repair, was_set_aside
from basins.verify.run_metadata import check_cases, check_layers, check_strays, check_what_it_is, foreign_files
from basins.verify.shard_source import Place, places
from basins.verify.shards import ShardCheck, Step, check_digests, check_shards
from basins.versions import skew, versions

__all__ = [
    "BlocksAgain",
    "Contradiction",
    "Finding",
    "Group",
    "LabelCheck",
    "ProvedCheck",
    "Step",
    "Trouble",
    "Verification",
    "verify",
]

SAMPLE, BLOCKS = 200, 4
"""Rows whose labels are checked, and blocks that are computed again, unless told otherwise."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    shards, good: committed shards that were looked at, and those without fault; trajectories: of the good ones;
    missing: shards of the plan that are not there, those of a run in progress or set aside; without_digests: shards of
    a run in progress whose digests are not written yet; findings: damage; set_aside: the folder it was moved to, by a
    repair; foreign: files beside the shards' that are none of the run's, and do it no harm; again, labels: None where
    nothing was asked of them or nothing can be said; proofs: of RUN/proved, None where there is none.
    """

    run: str
    seed: int
    findings: tuple[Finding, ...]
    shards: int = 0
    good: int = 0
    trajectories: int = 0
    missing: int = 0
    without_digests: int = 0
    set_aside: str | None = None
    foreign: tuple[str, ...] = ()
    again: BlocksAgain | None = None
    labels: LabelCheck | None = None
    proofs: ProvedCheck | None = None

    @property
    def left(self) -> tuple[Finding, ...]:
        """Damage that is still in the run."""
        return tuple(one for one in self.findings if self.set_aside is None or one.trouble not in REPAIRED)

    def to_dict(self) -> dict[str, Any]:
        """What `basins verify --json` prints."""
        again, labels, proofs = self.again, self.labels, self.proofs
        return {
            "run": self.run,
            "seed": self.seed,
            "shards": {"checked": self.shards, "good": self.good, "missing": self.missing},
            "trajectories": self.trajectories,
            "without_digests": self.without_digests,
            "damage": [one.to_dict() for one in self.findings],
            "set_aside": self.set_aside,
            "foreign": list(self.foreign),
            "computed_again": None
            if again is None
            else {"blocks": again.blocks, "outside_the_promise": again.outside, "skipped": again.skipped},
            "proofs": None if proofs is None else proofs.to_dict(),
            "labels": None
            if labels is None
            else {
                "rates": labels.rates(),
                "kept_in": labels.path,
                "skipped": dict(labels.skipped),
                "rows": [
                    {
                        "case": one.row.case,
                        "id": one.row.id,
                        "verdict": one.row.verdict,
                        "modes": one.row.modes,
                        "found": one.found,
                        "tighter": {"verdict": one.verdict, "modes": one.modes, "reason": one.reason},
                    }
                    for one in labels.rows
                    if one.found != "agreed"
                ],
            },
        }


def verify(
    run: str | os.PathLike[str],
    *,
    sample: int = SAMPLE,
    blocks: int = BLOCKS,
    seed: int = 0,
    repair_damage: bool = False,
    step: Step = lambda what, done, of: None,
) -> Verification:
    """Look at every byte of a run, compute `blocks` random blocks again, and check the labels of `sample` random rows.

    seed: of both draws; repair_damage: set damage aside (repair.py); step: told how far it is. Damage is returned, not
    raised. Raises RunError where there is no run, or a store cannot be read or written; ArgumentError for numbers
    without a meaning.
    """
    for name, value in (("sample", sample), ("blocks", blocks), ("seed", seed)):
        if value < 0 or value >= 1 << 63:
            raise ArgumentError(f"{name} = {value}", where=name, remedy="give a whole number of at least 0, below 2^63")
    files = files_at(run)
    manifest = read_manifest(files)
    same_writer = dict(manifest.versions).get("pyarrow") == dict(versions())["pyarrow"]
    what_it_is = [*check_what_it_is(files, manifest), *check_cases(files, manifest, same_writer)]
    if any(one.trouble is Trouble.manifest for one in what_it_is):
        return Verification(files.uri, seed, tuple(what_it_is))
    layers = read_layers(files, manifest)
    view, folders = View(files, layers), places(files, manifest, layers)
    findings = [*what_it_is, *check_layers(files, layers), *_check_verified(files, manifest)]
    if any(one.trouble is Trouble.manifest for one in findings):
        return Verification(files.uri, seed, tuple(findings))
    each = [_look(files, place, same_writer, step) for place in folders]
    looked = [check for one in each for check in one.checks]
    findings += [damage for one in each for damage in one.findings]
    good = [one for one in looked if one.counts is not None]
    skewed = skew(dict(manifest.versions))
    again = _again(manifest, folders, good, blocks, seed, step)
    if again is not None:
        findings += again.findings
    proofs = check_proved(files, manifest, view, same_writer, bool(blocks) and not skewed, seed, step)
    if proofs is not None:
        findings += proofs.findings
    sure = [under(view, manifest, one) for one in _sure(good, findings)]
    digests = {(one.layer, one.case, one.shard): one.sha256 for one in good}
    labels = check_labels(files, manifest, view, sure, digests, sample, seed, step) if sample else None
    wrong = {(one.layer, one.case, one.shard) for one in findings if one.trouble is Trouble.computed}
    verification = Verification(
        run=files.uri,
        seed=seed,
        findings=tuple(findings),
        shards=len(looked),
        good=len([one for one in good if (one.layer, one.case, one.shard) not in wrong]),
        trajectories=sum(sum(one.counts) for one in sure if one.counts is not None),
        missing=sum(one.missing for one in each),
        without_digests=sum(one.without_digests for one in each),
        foreign=(
            *(path for place in folders for path in foreign_files(place)),
            *(() if proofs is None else proofs.foreign),
        ),
        again=again,
        labels=labels,
        proofs=proofs,
    )
    if repair_damage:
        return replace(verification, set_aside=repair(files, manifest, folders, findings))
    return verification


class _Looked(NamedTuple):
    """Of a folder: every committed shard looked at; damage; shards that are missing, and those without digests yet."""

    checks: list[ShardCheck]
    findings: list[Finding]
    missing: int
    without_digests: int


def _look(files: Files, place: Place, same_writer: bool, step: Step) -> _Looked:
    findings = check_strays(place)
    planned = {case.key: set(place.contents.shards(case)) for case in place.contents.cases}
    there = {
        key: [shard for shard in shards_there(place.files, "trajectories", key) if shard in planned[key]]
        for key in planned
    }
    of, done = sum(map(len, planned.values())), sum(map(len, there.values()))
    aside = was_set_aside(place, files)
    looked: list[ShardCheck] = []
    without = 0
    for case in place.contents.cases:
        digests, wrong, lacking = check_digests(place, case, there[case.key], done == of)
        without += lacking
        findings += wrong
        for shard in sorted(set(digests) - set(there[case.key])):
            if (case.key, shard) not in aside:
                path = layout.part("trajectories", case.key, shard)
                what = "gone, though its digests are known"
                findings.append(place.finding(path, what, Trouble.shard, case.key, shard))
        for one in check_shards(place, case, there[case.key], digests, same_writer):
            step("shards looked at", len(looked), done)
            looked.append(one)
            findings += one.findings
    return _Looked(looked, findings, of - done, without)


def _sure(good: list[ShardCheck], findings: list[Finding]) -> list[ShardCheck]:
    """Good shards of the base. A row is as its highest layer has it: a shard is sure if what lies over it is, too."""
    suspect = {
        (one.case, one.shard) for one in findings if one.shard is not None and one.trouble is not Trouble.digests
    }
    return [one for one in good if not one.layer and (one.case, one.shard) not in suspect]


def _check_verified(files: Files, manifest: Manifest) -> list[Finding]:
    """Records of earlier checks that cannot be read: `estimate` would refuse them."""
    found = []
    for path in filter(layout.is_record, files.paths(layout.VERIFIED)):
        try:
            read_checks(files, manifest, paths=[path])
        except RunError as error:
            found.append(Finding(path, error.what.removeprefix(f"{path} is "), Trouble.stray))
    return found


def _again(
    manifest: Manifest, folders: list[Place], good: list[ShardCheck], blocks: int, seed: int, step: Step
) -> BlocksAgain | None:
    """Blocks computed again, where this machine's packages are the run's: others may give other bytes."""
    if not blocks:
        return None
    there, here = dict(manifest.versions), dict(versions())
    differ = [f"{name} {there.get(name, 'absent')}" for name in here if there.get(name) != here[name]]
    if differ:
        return BlocksAgain(0, skipped=f"the run was made with other versions ({', '.join(differ)})")
    return compute_again(manifest, folders, good, blocks, seed, step)
