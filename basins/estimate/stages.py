"""Bounds of a run that has grown: they hold at all of its stages at once, whoever decides by whatever when to stop.

Whoever grows a run until its bound pleases stops by what was seen, and an interval that covers at one size fixed
beforehand does not cover then. In stage k the exact interval (Clopper and Pearson) is taken at 1 - alpha/2^k instead of
1 - alpha: the alpha/2^k add up to alpha, so all stages hold together, if their sizes were fixed beforehand.

They seldom are: how much is added is decided by what was seen, too, and alpha/2^k does not cover that: whoever always
adds what makes a miss likeliest has one with probability 0.065 in six stages (of a Brownian path, tests/estimate/
test_stages.py), where alpha is 0.05. So with j trajectories counted (against the bound: saddle or
censored) the level is never below 1 - alpha / ((j + 1) (j + 2)). For a given p the bound at j is wrong from some size
n_j on, and only if by n_j no more than j were counted, which has probability alpha / ((j + 1) (j + 2)) at most; these
add up to alpha over j = 0, 1, ..., so the bound holds at every size at once, chosen as it may be. In the lower bound,
where the j saddles count for it, that is alpha / (j (j + 1)), over j = 1, 2, ....

With nothing counted stage k >= 2 decides. A pool of cases of unequal measures holds for sizes that are chosen by what
was seen as long as nothing is counted (then prod (1 - p_i)^n_i bounds the chance, in whatever order they come), and
else for sizes fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from basins.estimate.counts import Counts, Measure
from basins.statistics.binomial import ALPHA, CONFIDENCE, two_sided

if TYPE_CHECKING:
    from basins.estimate.proved import Proved
    from basins.store.manifest import Manifest


@dataclass(frozen=True)
class Grown:
    """sizes: trajectories planned in each stage, rising, the present one last; saddle_measure: its bounds, which hold
    in all stages at once, each at `level`; upper_alpha, lower_alpha: what the exact intervals are taken at; proved: the
    upper bound on proved starts alone, None where not all that is counted was tried."""

    sizes: tuple[int, ...]
    saddle_measure: Measure
    upper_alpha: float
    lower_alpha: float
    proved: float | None = None
    level: float = CONFIDENCE

    @property
    def times(self) -> int:
        """How often it has grown."""
        return len(self.sizes) - 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "times": self.times,
            "sizes": list(self.sizes),
            "level": self.level,
            "upper_alpha": self.upper_alpha,
            "lower_alpha": self.lower_alpha,
            "saddle_measure": self.saddle_measure.to_dict(),
            "proved": self.proved,
        }


def grown(sizes: Sequence[int], counts: Counts, proved: Proved | None = None) -> Grown | None:
    """The bounds of a case or a pool of these counts; None where it has had one size alone, or nothing is counted."""
    N, stage = counts.trajectories, len(sizes)
    if stage < 2 or not N:
        return None
    against = counts.saddle + counts.censored
    upper, lower = upper_alpha(against, stage), lower_alpha(counts.saddle, stage)
    measure = Measure(counts.saddle / N, two_sided(counts.saddle, N, 2 * lower)[0], two_sided(against, N, 2 * upper)[1])
    return Grown(tuple(sizes), measure, upper, lower, _proved(proved, stage))


def _proved(proved: Proved | None, stage: int) -> float | None:
    if proved is None or not proved.every:
        return None
    left = proved.tried - proved.proved
    return two_sided(left, proved.tried, 2 * upper_alpha(left, stage))[1]


def upper_alpha(against: int, stage: int, alpha: float = ALPHA) -> float:
    """What the exact upper bound is taken at in stage 1, 2, ..., with so many counted against it."""
    return alpha * min(0.5**stage, 1 / ((against + 1) * (against + 2)))


def lower_alpha(saddles: int, stage: int, alpha: float = ALPHA) -> float:
    """The same of the lower bound, which is 0 without a saddle."""
    return alpha * min(0.5**stage, 1 / (max(1, saddles) * (max(1, saddles) + 1)))


def sizes_of(manifest: Manifest, keys: Iterable[str]) -> tuple[int, ...]:
    """The trajectories that these cases had together in each stage of a run in which that changed."""
    chosen = frozenset(keys)
    stages = [{one.key: one.trajectories for one in stage.cases} for stage in manifest.stages]
    stages.append({case.key: case.trajectories for case in manifest.cases})
    sizes = [sum(of for key, of in stage.items() if key in chosen) for stage in stages]
    return tuple(size for size in dict.fromkeys(sizes) if size)
