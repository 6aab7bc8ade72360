"""Runs pooled: the counts of cases of the same problem and law, of different seeds, added.

The starts of another seed are other draws from the same law, so the counts add up to one larger sample of it, whatever
engine each was integrated with. Runs of one seed have the same starts: no further evidence, and refused. What one run
alone has stays as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from basins.comparison.several import Path, opened
from basins.errors import ArgumentError
from basins.estimate import Counts, Estimate, Frame
from basins.estimate.labels import frames_of
from basins.estimate.of_run import Evidence, estimate_of, evidence
from basins.estimate.proved import together_proved
from basins.laws import stream_key
from basins.run_tables import Run

Found = tuple[str, Run, Evidence]
"""Name of the run, the run, one of its cases."""


def pool(*runs: Path) -> Estimate:
    """The estimate of several runs together, case by case and pooled.

    Raises ArgumentError for runs that have no case in common, and for two that have the same starts of one; RunError
    for a damaged run.
    """
    named = opened(runs)
    groups: dict[int, list[Found]] = {}
    for name, run in named.items():
        for one in _one_of_each(evidence(run)):
            groups.setdefault(stream_key(one.case.landscape, one.case.law), []).append((name, run, one))
    for of in groups.values():
        _refuse_the_same_starts(of)
    if all(len(of) == 1 for of in groups.values()):
        raise ArgumentError(
            "no two of these runs have a case of the same problem and law: nothing is pooled",
            where=", ".join(named),
            remedy="put them side by side: basins compare",
        )
    joined = [_joined(of) for of in groups.values()]
    by_key = {one.case.key: one for one in joined}

    def sizes(keys: Iterable[str]) -> Sequence[int]:
        return _stages([by_key[key].sizes for key in keys])

    return estimate_of(" + ".join(named), joined, sizes)


def _one_of_each(cases: Sequence[Evidence]) -> list[Evidence]:
    """Of cases of one run that have the same starts (other engines) the one with the most trajectories."""
    kept: dict[int, Evidence] = {}
    for one in cases:
        starts = stream_key(one.case.landscape, one.case.law)
        if starts not in kept or one.counts.trajectories > kept[starts].counts.trajectories:
            kept[starts] = one
    return list(kept.values())


def _refuse_the_same_starts(of: Sequence[Found]) -> None:
    seeds: dict[int, tuple[str, str]] = {}
    for name, run, one in of:
        seed = run.manifest.seed
        if seed in seeds:
            other, case = seeds[seed]
            raise ArgumentError(
                f"case {one.case.name!r} of {name} and case {case!r} of {other} have the same starts: one problem, law "
                f"and seed ({seed}), and ids that overlap",
                where=name,
                remedy="leave one of them out: it is no further evidence",
            )
        seeds[seed] = name, one.case.name


def _joined(of: Sequence[Found]) -> Evidence:
    """Cases of one problem and law as one."""
    first = of[0][2]
    if len(of) == 1:
        return first
    cases = [one.case for _, _, one in of]
    loosest = max(cases, key=lambda case: case.settings.delta)
    case = loosest.changed(name=cases[0].name, trajectories=sum(case.trajectories for case in cases))
    frames: dict[Hashable, Frame] = {}
    for name, _, one in of:
        own: Mapping[Hashable, Frame] = frames_of(one.case.key, one.counts, one.frames)
        frames.update({(name, key): frame for key, frame in own.items()})
    reasons = {reason for _, _, one in of for reason in one.reasons}
    return Evidence(
        case=case,
        counts=sum((one.counts for _, _, one in of), Counts()),
        reasons={reason: sum(one.reasons.get(reason, 0) for _, _, one in of) for reason in sorted(reasons)},
        doubtful=(),  # an id says nothing without its run
        frames=frames if any(one.frames for _, _, one in of) else None,
        proved=together_proved([one.proved for _, _, one in of]),
        draw=first.draw,
        sizes=_stages([one.sizes for _, _, one in of]),
    )


def _stages(sizes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Sizes together, where each grew for itself: as if one grew after the other. The bounds do not depend on the
    order, only on how often."""
    now = [of[0] for of in sizes if of]
    found = [sum(now)]
    for k, of in enumerate([of for of in sizes if of]):
        for size in of[1:]:
            now[k] = size
            found.append(sum(now))
    return tuple(found)
