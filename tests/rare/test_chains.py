"""Moves preserve the conditional law: K-S tests against exact laws. Copies, shares and their variance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from basins import Problem, laws
from basins.integrators.base import Settings
from basins.rare import splitting_step
from basins.rare.certification_time import CertificationTime
from basins.rare.level_streams import Stream
from basins.rare.splitting_step import (
    MOVES,
    Learned,
    Population,
    WhitenedCoordinate,
    advance,
    autocorrelation,
    copies,
    first_population,
    share,
)
from basins.rare.whitening import Whitening

N = 6000


def test_autocorrelation_at_rest_of_independent_positions_and_of_a_random_walk() -> None:
    z, new = np.random.default_rng(2).standard_normal((2, 4000, 5)) + np.array([[[3.0] * 5], [[0.0] * 5]])
    assert autocorrelation(z, z) == pytest.approx(1.0)
    assert autocorrelation(z, new) == pytest.approx(0.0, abs=0.03)
    assert autocorrelation(z, 3.0 + 0.8 * (z - 3.0) + 0.6 * new) == pytest.approx(0.8, abs=0.02)
    assert np.isnan(autocorrelation(np.ones((3, 2)), np.ones((3, 2))))


class Beyond:
    """A reaction whose T is the coordinate along (1, 1, 0, ..., 0) / sqrt(2): normal, and T > t a half-space."""

    def __init__(self, n: int) -> None:
        self.n = n

    def coordinate(self, z: np.ndarray) -> np.ndarray:
        along: np.ndarray = (z[:, 0] + z[:, 1]) / np.sqrt(2)
        return along

    def at(self, z: np.ndarray, t: float) -> Any:
        inside = self.coordinate(z) > t
        none = np.zeros(len(z), dtype=bool)
        return SimpleNamespace(inside=inside, undecided=none, evaluations=len(z), value=self.coordinate(z))


def conditional(reaction: Beyond, t: float, stream: Stream) -> Population:
    """Exact draws of z given T > t: the coordinate by its quantile, the rest free."""
    z = stream.normals(N, reaction.n)
    wanted = stats.norm.isf(stream.uniforms(N) * stats.norm.sf(t))
    z[:, :2] += ((wanted - reaction.coordinate(z)) / np.sqrt(2))[:, None]
    own = np.arange(N)
    return Population(z, own, own, np.zeros(N, dtype=np.int64))


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("size", [0.2, 1.0])
def test_a_move_keeps_the_conditional_law(name: str, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting_step, "MOVES", {name: MOVES[name]})
    monkeypatch.setattr(splitting_step, "GAIN", 0.0)
    reaction, t, stream = Beyond(3), 1.5, Stream(1, 2, 3, 4)
    before = conditional(reaction, t, stream)
    before.sizes[name] = size
    after, came = advance(cast(WhitenedCoordinate, reaction), before, t, 30, stream, None)
    assert came.p == 1.0
    assert (after.moved > 0).mean() > 0.9  # otherwise nothing is tested
    assert stats.kstest(reaction.coordinate(after.z), lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(t)).pvalue > 1e-3
    assert stats.kstest((after.z[:, 0] - after.z[:, 1]) / np.sqrt(2), "norm").pvalue > 1e-3
    assert stats.kstest(after.z[:, 2], "norm").pvalue > 1e-3


TIMES = (0.84, 1.75, 2.4, 2.95, 3.4, 3.85, 4.25, 4.6, 5.0)


def down(replicate: int, N: int, sweeps: int, learned: list[Learned] | None) -> tuple[float, list[Learned]]:
    """P(T > 5) of a replicate, and what it learned."""
    reaction, P, found = cast(WhitenedCoordinate, Beyond(4)), 1.0, []
    population = first_population(reaction, N, Stream(3, 1, replicate, 0))
    for level, t in enumerate(TIMES):
        stream = Stream(3, 1, replicate, level + 1)
        population, came = advance(reaction, population, t, sweeps, stream, learned[level] if learned else None)
        P *= came.p
        if not len(population):
            break
        found.append(Learned(population.z.copy(), dict(population.sizes)))
    return P, found


def test_splitting_finds_a_normal_tail() -> None:
    learned = down(0, 500, 8, None)[1]
    P = [down(replicate, 500, 8, learned)[0] for replicate in range(1, 17)]
    error = np.std(P, ddof=1) / 4
    assert abs(np.mean(P) - stats.norm.sf(5.0)) < 3.5 * error
    assert error < 0.15 * stats.norm.sf(5.0)


def test_moves_of_all_kinds_keep_the_law_of_a_chain_beside_its_saddle() -> None:
    """Starts of a two-weight chain given T > t, by rejection, before and after: same law (6.4: P is about 2 %)."""
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=[1])
    reaction = WhitenedCoordinate(Whitening(problem, laws.Gaussian(1.0)), CertificationTime(problem, Settings()))
    stream, t = Stream(1, 2, 3, 4), 1.4
    z = stream.normals(150_000, 2)
    z = z[reaction.at(z, t).inside]
    half = len(z) // 2
    own = np.arange(half)
    before = Population(z[:half], own, own, np.zeros(half, dtype=np.int64))
    after, came = advance(reaction, before, t, 20, stream, None)
    assert came.p == 1.0
    assert half > 1000
    for functional in (lambda z: z[:, 0], lambda z: z[:, 0] + z[:, 1], lambda z: z[:, 0] - z[:, 1]):
        assert stats.ks_2samp(functional(after.z), functional(z[half:])).pvalue > 1e-3


def test_an_empty_level_is_reported() -> None:
    reaction = cast(WhitenedCoordinate, Beyond(2))
    after, came = advance(
        reaction, first_population(reaction, 50, Stream(1, 1, 1, 1)), 9.0, 3, Stream(1, 1, 1, 2), None
    )
    assert came.p == 0.0
    assert len(after) == 0


def test_copies_are_even() -> None:
    survivors = np.array([3, 5, 8])
    counts = np.bincount(copies(survivors, 10, Stream(1, 1, 1, 1)), minlength=9)
    assert sorted(counts[survivors]) == [3, 3, 4]
    assert counts.sum() == 10


def test_the_variance_of_a_share_counts_families() -> None:
    """Families whose members agree count as one draw each."""
    rng = np.random.default_rng(1)
    independent, families = [], []
    for _ in range(300):
        answers = rng.random(200) < 0.3
        independent.append(share(answers, np.arange(200))[1])
        families.append(share(np.repeat(answers[:20], 10), np.repeat(np.arange(20), 10))[1])
    assert np.mean(independent) == pytest.approx(0.3 * 0.7 / 200, rel=0.05)
    assert np.mean(families) == pytest.approx(0.3 * 0.7 / 20, rel=0.15)
