"""The claim "for almost every (X, Y)": random pairs, each with its own trajectories, and the share of bad pairs.

Hits cluster by pair: a pair whose saddle basins have a positive measure shows it in many of its trajectories, the
others in none. So N trajectories on each of M pairs are N M trials of the mixture, but only M trials of the pair: 50
clean pairs bound the share of bad ones by 5.8 % at 95 % confidence, whatever N is.

A pair is bad if its saddle basins hold at least eps of the law, where N trajectories detect eps with probability
beta = 0.999: eps = 1 - (1 - beta)^(1/N), about 6.9 / N. At least a share beta of the bad pairs is detected. So with q
the share of bad pairs, and F the exact upper bound on the share of pairs with a saddle or a censored trajectory,

    q beta <= P(detected),    q <= F / beta.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from basins.estimate.counts import Counts, Measure
from basins.estimate.sentences import pairs_sentence
from basins.statistics.binomial import CONFIDENCE, one_sided_lower, one_sided_upper

if TYPE_CHECKING:
    from basins.experiment import Case

SEEN = 0.999
"""beta: the least probability with which N trajectories detect a bad pair."""


class Draw(NamedTuple):
    """Random data: the law that it is drawn from, as text, and the seed of the draw."""

    law: str
    seed: int


@dataclass(frozen=True)
class PairsEstimate:
    """M pairs drawn from one law of data.

    data: that law as text; pairs: M; with_saddle: pairs with a saddle among their trajectories; with_censored: other
    pairs with a censored trajectory; trajectories: N, the least number in any pair; eps: the least measure of saddle
    basins that makes a pair bad; share: the share of bad pairs, with an upper bound that counts censored pairs as bad
    and a lower bound from pairs with a saddle, each one-sided at `confidence`.
    """

    data: str
    pairs: int
    with_saddle: int
    with_censored: int
    trajectories: int
    eps: float
    confidence: float
    share: Measure

    def to_dict(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "pairs": self.pairs,
            "with_saddle": self.with_saddle,
            "with_censored": self.with_censored,
            "trajectories": self.trajectories,
            "eps": self.eps,
            "level": self.confidence,
            "share": self.share.to_dict(),
            "sentence": pairs_sentence(self),
        }


def smallest_seen(N: int) -> float:
    """eps: the least saddle-basin measure that N trajectories detect with probability `SEEN`."""
    return one_sided_upper(0, N, SEEN)


def pairs_estimates(counted: Iterable[tuple[Case, Counts]], drawn: Mapping[str, Draw]) -> tuple[PairsEstimate, ...]:
    """One estimate for each law of data with two pairs or more.

    counted: cases whose shape can test the conjecture, whose law has a density and whose starts no other case has;
    drawn: the random data of each, by case key. A pair's trajectories are those of all its cases. In a run in progress,
    pairs are counted up to the first that has a case without trajectories, because the order in which pairs finish may
    depend on their outcomes.
    """
    found: dict[str, dict[int, list[Counts]]] = {}
    for case, counts in counted:
        if case.key in drawn:
            draw = drawn[case.key]
            found.setdefault(draw.law, {}).setdefault(draw.seed, []).append(counts)
    estimates = []
    for law, pairs in found.items():
        begun = [all(one.trajectories for one in counts) for counts in pairs.values()]
        M = begun.index(False) if False in begun else len(begun)
        if M > 1:
            estimates.append(_estimate(law, [sum(counts, Counts()) for counts in list(pairs.values())[:M]]))
    return tuple(estimates)


def _estimate(law: str, pairs: list[Counts]) -> PairsEstimate:
    M, N = len(pairs), min(pair.trajectories for pair in pairs)
    bad = sum(pair.saddle > 0 for pair in pairs)
    censored = sum(pair.saddle == 0 and pair.censored > 0 for pair in pairs)
    return PairsEstimate(
        data=law,
        pairs=M,
        with_saddle=bad,
        with_censored=censored,
        trajectories=N,
        eps=smallest_seen(N),
        confidence=CONFIDENCE,
        share=Measure(bad / M, one_sided_lower(bad, M), min(1.0, one_sided_upper(bad + censored, M) / SEEN)),
    )


def drawn_data(text: str) -> dict[str, Draw]:
    """The random data in a run's experiment.toml (`text`), by name of the case. Cases with other data are left out."""
    drawn = {}
    for case in tomllib.loads(text)["case"]:
        data = case["data"] if "landscape" not in case else {}
        if data.get("source") == "gaussian":
            law = {key: value for key, value in data.items() if key not in ("source", "seed") and value is not False}
            terms = ", ".join(key if value is True else f"{key} = {json.dumps(value)}" for key, value in law.items())
            drawn[case["name"]] = Draw(f"gaussian ({terms})", data["seed"])
    return drawn
