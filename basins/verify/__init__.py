"""Checks that a run is as it was written and that its labels are right. Start at `verify`.

Bytes: the manifest, the experiment and the table of cases agree (run_metadata.py). Every file of every shard, in the
base and in each layer (shard_source.py), has the SHA-256 that its writer had in memory, the footer of this run and
place, intact pages, the rows of the plan, each id once, and blocks that count them (shards.py, contents.py). Random
blocks are computed again and compared bit for bit (recompute.py).
Labels: a random sample of rows is integrated again by another solver at 100 times tighter tolerances (labels.py). The
outcomes are kept in RUN/verified, where `estimate` finds them.
Proofs: RUN/proved is checked like the shards, and no row labelled saddle may be proved a minimum (proving.py).
repair.py sets damaged files aside.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from basins.arrays import whole
from basins.called_late import Printed
from basins.errors import RunError
from basins.store import Files, Manifest, files_at, layout, read_manifest
from basins.store.committed import shards_there, short_shards
from basins.store.layered_view import View
from basins.store.layers import read_layers
from basins.store.verified import read_checks
from basins.verify.finding import Finding, Trouble
from basins.verify.labels import Group, LabelCheck, check_labels, with_layer_counts
from basins.verify.proving import Contradiction, ProvedCheck, check_proved
from basins.verify.recompute import RecomputedBlocks, recompute_blocks
from basins.verify.repair import REPAIRED, repair, was_set_aside
from basins.verify.run_metadata import (
    check_cases,
    check_data,
    check_definition,
    check_layers,
    check_strays,
    foreign_files,
)
from basins.verify.shard_source import ShardSource, shard_sources
from basins.verify.shards import ShardCheck, Step, check_digests, check_shards
from basins.versions import skew, versions

__all__ = [
    "Contradiction",
    "Finding",
    "Group",
    "LabelCheck",
    "ProvedCheck",
    "RecomputedBlocks",
    "Step",
    "Trouble",
    "Verification",
    "verify",
]

SAMPLE, BLOCKS = 200, 4
"""The default numbers of rows whose labels are checked and of blocks that are computed again."""


@dataclass(frozen=True, repr=False)
class Verification(Printed):
    """The result of `verify`.

    shards, good: committed shards that were checked, and those without fault; trajectories: number in the good ones;
    missing: planned shards that do not exist (yet), or were set aside; without_digests: shards of a run in progress
    whose digests are not written yet; findings: damage; set_aside: the folder that a repair moved it to; foreign: files
    in the shards' folders that are not the run's and do no harm; again, labels: the recomputed blocks and the checked
    labels, None if not asked for or not possible; proofs: the check of RUN/proved, None if there are no proofs.
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
    again: RecomputedBlocks | None = None
    labels: LabelCheck | None = None
    proofs: ProvedCheck | None = None

    @property
    def left(self) -> tuple[Finding, ...]:
        """Damage that is still in the run."""
        return tuple(one for one in self.findings if self.set_aside is None or one.trouble not in REPAIRED)

    def to_dict(self) -> dict[str, Any]:
        """The values that `basins verify --json` prints."""
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
    """Check every byte of a run, compute `blocks` random blocks again, and check the labels of `sample` random rows.

    seed: of both draws; repair_damage: set damage aside (repair.py); step: progress callback. Damage is returned, not
    raised. Raises RunError if there is no run, or if a store cannot be read or written; ArgumentError for a negative or
    too large number.
    """
    for name, value in (("sample", sample), ("blocks", blocks), ("seed", seed)):
        whole(value, name, below=1 << 63)
    files = files_at(run)
    manifest = read_manifest(files)
    same_writer = dict(manifest.versions).get("pyarrow") == dict(versions())["pyarrow"]
    of_definition = [*check_definition(files, manifest), *check_cases(files, manifest, same_writer)]
    if any(one.trouble is Trouble.manifest for one in of_definition):
        return Verification(files.uri, seed, tuple(of_definition))
    of_definition += check_data(files)
    layers = read_layers(files, manifest)
    view, folders = View(files, layers, manifest), shard_sources(files, manifest, layers)
    findings = [*of_definition, *check_layers(files, layers), *_check_verified(files, manifest)]
    if any(one.trouble is Trouble.manifest for one in findings):
        return Verification(files.uri, seed, tuple(findings))
    each = [_check_source(files, place, same_writer, step) for place in folders]
    looked = [check for one in each for check in one.checks]
    findings += [damage for one in each for damage in one.findings]
    good = [one for one in looked if one.counts is not None]
    skewed = skew(dict(manifest.versions))
    again = _recompute(manifest, folders, good, blocks, seed, step)
    if again is not None:
        findings += again.findings
    proofs = check_proved(files, manifest, view, same_writer, bool(blocks) and not skewed, seed, step)
    if proofs is not None:
        findings += proofs.findings
    sure = [with_layer_counts(view, manifest, one) for one in _undisputed(good, findings)]
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


class _SourceCheck(NamedTuple):
    """The check of one folder: its committed shards, the damage, the number of missing shards, and the number of shards
    without digests."""

    checks: list[ShardCheck]
    findings: list[Finding]
    missing: int
    without_digests: int


def _check_source(files: Files, place: ShardSource, same_writer: bool, step: Step) -> _SourceCheck:
    findings = check_strays(place)
    contents = place.contents
    planned = {case.key: set(contents.shards(case)) for case in contents.cases}
    short = {case.key: short_shards(place.files, contents, case) for case in contents.cases}
    there = {
        key: [
            shard
            for shard in shards_there(place.files, "trajectories", key)
            if shard in planned[key] and shard not in short[key]
        ]
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
        for shard in sorted(set(digests) - {*there[case.key], *short[case.key]}):
            if (case.key, shard) not in aside:
                path = layout.part("trajectories", case.key, shard)
                what = "gone, though its digests are known"
                findings.append(place.finding(path, what, Trouble.shard, case.key, shard))
        for one in check_shards(place, case, there[case.key], digests, same_writer):
            step("shards checked", len(looked), done)
            looked.append(one)
            findings += one.findings
        for one in check_shards(place, case, [*short[case.key]], digests, same_writer):
            findings += one.findings  # what the run has grown beyond: no rows are drawn from it
    return _SourceCheck(looked, findings, of - done, without)


def _undisputed(good: list[ShardCheck], findings: list[Finding]) -> list[ShardCheck]:
    """The good shards of the base over which no layer is damaged. A row has the label of its highest layer, so damage
    there leaves its label in doubt."""
    suspect = {
        (one.case, one.shard) for one in findings if one.shard is not None and one.trouble is not Trouble.digests
    }
    return [one for one in good if not one.layer and (one.case, one.shard) not in suspect]


def _check_verified(files: Files, manifest: Manifest) -> list[Finding]:
    """Records of earlier checks that cannot be read, which `estimate` would refuse."""
    found = []
    for path in filter(layout.is_record, files.paths(layout.VERIFIED)):
        try:
            read_checks(files, manifest, paths=[path])
        except RunError as error:
            found.append(Finding(path, error.what.removeprefix(f"{path} is "), Trouble.stray))
    return found


def _recompute(
    manifest: Manifest, folders: list[ShardSource], good: list[ShardCheck], blocks: int, seed: int, step: Step
) -> RecomputedBlocks | None:
    """Compute blocks again if the packages here have the run's versions; others may give different bytes."""
    if not blocks:
        return None
    there, here = dict(manifest.versions), dict(versions())
    differ = [f"{name} {there.get(name, 'absent')}" for name in here if there.get(name) != here[name]]
    if differ:
        return RecomputedBlocks(0, skipped=f"the run was made with other versions ({', '.join(differ)})")
    return recompute_blocks(manifest, folders, good, blocks, seed, step)
