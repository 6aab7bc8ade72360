"""Checks labels: a random sample of rows is integrated again by another solver at 100 times tighter tolerances.

Rows are drawn separately for each verdict, and separately for laws with a density and null laws. Within such a group
each row has the same chance and none is drawn twice, so the number of wrong labels in a group has an exact
hypergeometric bound. The minima and the saddles of laws with a density, on which the bounds on the saddle basins rest,
have eight times the weight of the other groups; a group with fewer rows than its share leaves the rest to the others.
The same seed draws the same rows of the same run. From a run that has grown, or for another sample size, it draws
other rows, independently of the first, so that samples can be combined (estimate/frames.py).

Each sample records what it was drawn from: good shards of cases that can be checked, and the layers over them.

The re-integration takes no certificate of t = 0, no t_end and no engine from the run: it is scipy's LSODA (DOP853 where
the run's own is LSODA), from the start to a certificate of its own. What comes out censored decides nothing: the row
is `undecided`, and counts as wrong in the bound.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import REASONS
from basins.estimate.labels import Checked, Frame, checked
from basins.experiment import Case
from basins.integrators.base import Settings
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.critical_sets import VERDICTS
from basins.laws import BLOCK
from basins.show import TIGHTER
from basins.statistics.binomial import CONFIDENCE
from basins.store import Files, Manifest
from basins.store.layered_view import View
from basins.store.manifest import canonical_json
from basins.store.verified import OUTCOMES, DrawnFrom, write_checks
from basins.verify.shards import ShardCheck, Step

WEIGHT = 8
"""The weight in the sample of the minima and saddles of laws with a density; the other groups have weight 1."""

BUDGET = 50_000
"""The least budget of a re-integration, in evaluations. A case's own budget is used if it is larger."""

DENSITY, NULL = "with a density", "null"


class Group(NamedTuple):
    """A set of rows from which one part of the sample is drawn."""

    law: str
    verdict: str


class Row(NamedTuple):
    """One row of a run, with its label as on disk."""

    case: str
    id: int
    verdict: str
    modes: int | None


@dataclass(frozen=True)
class CheckedRow:
    """A row, the outcome of its tighter re-integration (store.verified.OUTCOMES), and the limit that this found:
    verdict, modes, reason."""

    row: Row
    found: str
    verdict: str
    modes: int | None
    reason: str | None


@dataclass(frozen=True)
class LabelCheck:
    """The result for a sample. groups: results by law and verdict; path: the file in RUN/verified; skipped: the cases
    (by name) that could not be checked, with the reason.
    """

    rows: tuple[CheckedRow, ...]
    groups: Mapping[Group, Checked | Counter[str]]
    path: str | None
    skipped: Mapping[str, str]

    def rates(self) -> list[dict[str, Any]]:
        """By law and verdict, the number of labels checked, the number that disagreed, and the exact upper bound on
        their share; for censored rows, the outcomes.
        """
        return [
            {"law": group.law, "verdict": group.verdict}
            | (dict(found) if isinstance(found, Counter) else found.to_dict())
            for group, found in self.groups.items()
        ]


def check_labels(
    files: Files,
    manifest: Manifest,
    view: View,
    good: Sequence[ShardCheck],
    digests: Mapping[tuple[int, str, int], str],
    sample: int,
    seed: int,
    step: Step,
) -> LabelCheck:
    """Draw rows of good shards, with the view's layers applied, integrate them again, and write the outcomes.

    good: shards of the base, with counts that include the layers (`with_layer_counts`); digests: SHA-256 of the
    trajectory files, by layer (0: the base), case and shard.
    """
    tighter, skipped = {}, {}
    for case in manifest.cases:
        settings = tighter_settings(case, max([0, *(layer.budget for layer in view.layers)]))
        if case.dynamics.recheck:
            skipped[case.name] = case.dynamics.recheck
        elif settings is None:
            skipped[case.name] = f"rtol = {case.settings.rtol:g} cannot be {TIGHTER} times tighter in double precision"
        else:
            tighter[case.key] = settings
    reached = [one for one in good if one.case in tighter]
    drawn = sorted(draw(view, manifest, reached, sample, seed))
    found = []
    for done, row in enumerate(drawn):
        step("labels checked", done, len(drawn))
        found.append(_check(manifest, row, tighter[row.case]))
    sizes = sizes_of(manifest, reached)
    groups = _groups(manifest, found, sizes)
    check = LabelCheck(tuple(found), groups, None, skipped)
    if not found:
        return check
    rows: dict[str, dict[int, tuple[str, str]]] = {}
    for one in found:
        rows.setdefault(one.row.case, {})[one.row.id] = one.row.verdict, one.found
    details = {
        "sample": sample,
        "layers": view.committed,
        "tighter": TIGHTER,
        "level": CONFIDENCE,
        "rates": check.rates(),
    }
    drawn_from = {
        key: DrawnFrom.of(
            shards,
            layers,
            [digests.get((number, key, shard), "") for number, of in ((0, shards), *layers.items()) for shard in of],
        )
        for key, (shards, layers) in _population(view, manifest, reached).items()
    }
    density = {group.verdict: size for group, size in sizes.items() if group.law == DENSITY}
    return replace(check, path=write_checks(files, manifest, seed, rows, details, drawn_from, density))


def _groups(
    manifest: Manifest, found: Sequence[CheckedRow], sizes: Mapping[Group, int]
) -> dict[Group, Checked | Counter[str]]:
    by_group: dict[Group, Counter[tuple[str, str]]] = {}
    for one in found:
        group = Group(_law(manifest, one.row.case), one.row.verdict)
        by_group.setdefault(group, Counter())[one.row.verdict, one.found] += 1
    return {
        group: Counter({word: outcomes["censored", word] for word in OUTCOMES["censored"]})
        if group.verdict == "censored"
        else checked([Frame({group.verdict: sizes[group]}, outcomes)], group.verdict, CONFIDENCE)
        for group, outcomes in sorted(by_group.items(), key=_order)
    }


def _order(item: tuple[Group, object]) -> tuple[bool, int]:
    return item[0].law == NULL, VERDICTS.index(item[0].verdict)


def _law(manifest: Manifest, case: str) -> str:
    return NULL if manifest.case(case).law.null else DENSITY


# --- the sample ------------------------------------------------------------------------------------------------------


def with_layer_counts(view: View, manifest: Manifest, one: ShardCheck) -> ShardCheck:
    """A shard of the base, with counts that include the layers."""
    case = manifest.case(one.case)
    if one.counts is None or not view.over(case, one.shard):
        return one
    blocks = view.part("blocks", case, one.shard, VERDICTS)
    return replace(one, counts=tuple(sum(blocks[verdict].to_pylist()) for verdict in VERDICTS))


def _counts(manifest: Manifest, good: Sequence[ShardCheck]) -> dict[Group, NDArray[np.int64]]:
    """The number of rows of each group in each shard."""
    counts: dict[Group, NDArray[np.int64]] = {}
    for law in (DENSITY, NULL):
        of_law = np.array([_law(manifest, one.case) == law for one in good], dtype=bool)
        for code, verdict in enumerate(VERDICTS):
            each = [one.counts[code] if one.counts is not None else 0 for one in good]
            counts[Group(law, verdict)] = np.where(of_law, np.array(each, dtype=np.int64), 0)
    return counts


def sizes_of(manifest: Manifest, good: Sequence[ShardCheck]) -> dict[Group, int]:
    """The total number of rows of each group in these shards."""
    return {group: int(each.sum()) for group, each in _counts(manifest, good).items()}


def _population(
    view: View, manifest: Manifest, good: Sequence[ShardCheck]
) -> dict[str, tuple[list[int], dict[int, list[int]]]]:
    """By case key: these shards, ascending, and the number of each layer -> the shards among them that it covers."""
    found: dict[str, tuple[list[int], dict[int, list[int]]]] = {}
    for one in sorted(good, key=lambda one: one.shard):
        shards, layers = found.setdefault(one.case, ([], {}))
        shards.append(one.shard)
        for layer in view.over(manifest.case(one.case), one.shard):
            layers.setdefault(layer.number, []).append(one.shard)
    return {key: (shards, dict(sorted(layers.items()))) for key, (shards, layers) in found.items()}


def draw(view: View, manifest: Manifest, good: Sequence[ShardCheck], sample: int, seed: int) -> Iterator[Row]:
    """Draw `sample` rows of these shards, or all of them if there are fewer."""
    counts = _counts(manifest, good)
    parts = parts_of({group: int(each.sum()) for group, each in counts.items()}, sample)
    population = {key: DrawnFrom.of(*there, ()).where() for key, there in _population(view, manifest, good).items()}
    for group, part in parts.items():
        if not part:
            continue
        ends = np.cumsum(counts[group])
        # A stream for each population and size: samples must not depend on each other (frames.py).
        content = canonical_json({"seed": seed, "group": [*group], "rows": part, "from": population})
        key = np.frombuffer(hashlib.sha256(content).digest()[:16], dtype="<u8")
        rng = np.random.Generator(np.random.Philox(key=key))
        chosen = np.sort(rng.choice(int(ends[-1]), part, replace=False))
        at = np.searchsorted(ends, chosen, side="right")
        for k in np.unique(at):
            within = chosen[at == k] - (ends[k] - counts[group][k])
            yield from _rows(view, manifest, good[k], group.verdict, within)


def parts_of(sizes: Mapping[Group, int], sample: int) -> dict[Group, int]:
    """The number of rows to draw from each group: by weight, at most the group's size, adding up to the sample."""
    weights = {group: WEIGHT if group.law == DENSITY and group.verdict != "censored" else 1 for group in sizes}
    parts = dict.fromkeys(sizes, 0)
    for _ in range(min(sample, sum(sizes.values()))):
        # the next row goes to the group that is furthest behind its weight
        group = min((one for one in sizes if parts[one] < sizes[one]), key=lambda one: (parts[one] + 1) / weights[one])
        parts[group] += 1
    return parts


def _rows(view: View, manifest: Manifest, shard: ShardCheck, verdict: str, within: NDArray[np.int64]) -> Iterator[Row]:
    """The rows of a shard that have this verdict, at the given ascending positions among them."""
    case = manifest.case(shard.case)
    critical = case.landscape.critical
    column = critical.vocabulary.set_column
    table = view.part("trajectories", case, shard.shard, ["id", "verdict", column]).to_pydict()
    codes = dict(zip(table["id"], table[column], strict=True))
    # Most rows of minima may not be kept; a minimum is an id with no other verdict.
    if verdict == VERDICTS[Verdict.minimum]:
        others = [id for id, word in zip(table["id"], table["verdict"], strict=True) if word != verdict]
        ids = np.setdiff1d(np.array(manifest.ids(case, shard.shard)), others)
    else:
        ids = np.array([id for id, word in zip(table["id"], table["verdict"], strict=True) if word == verdict])
    only = critical.global_minimum if verdict == VERDICTS[Verdict.minimum] else None
    for id in ids[within].tolist():
        yield Row(case.key, id, verdict, codes.get(id) if only is None else only)


# --- again -----------------------------------------------------------------------------------------------------------


def tighter_settings(case: Case, budget: int = 0) -> Settings | None:
    """The settings with which a case's rows are integrated again, with at least this budget. None if the tolerances
    cannot be tightened."""
    own = case.settings
    method = "DOP853" if own.method == "LSODA" else "LSODA"
    return replace(
        own,
        engine="reference",
        method=method,
        certify=True,
        at_start=False,
        t_end=np.inf,
        budget=max(own.budget, budget, BUDGET),
    ).tighter(TIGHTER)


def _check(manifest: Manifest, row: Row, settings: Settings) -> CheckedRow:
    case = manifest.case(row.case)
    start = laws.starts(case.landscape, case.law, manifest.seed, row.id // BLOCK)[row.id % BLOCK : row.id % BLOCK + 1]
    limits = integrate_batch(case.landscape, start, settings, np.zeros(1, dtype=bool), case.law.null)
    verdict = VERDICTS[limits.verdict[0]]
    modes = int(limits.modes[0]) if limits.rank[0] >= 0 else None
    if verdict == "censored":
        found = "undecided"
    elif row.verdict == "censored":
        found = verdict
    else:
        # Of several minima, the one of a row that was not kept is not known: the verdict alone is compared.
        unknown = row.modes is None and row.verdict == VERDICTS[Verdict.minimum]
        found = "agreed" if verdict == row.verdict and (unknown or modes == row.modes) else "disagreed"
    reason = REASONS[limits.reason[0]] if limits.reason[0] >= 0 else None
    return CheckedRow(row, found, verdict, modes, reason)
