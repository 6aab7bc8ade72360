"""The true solution, to 28 digits and more and by other means, is inside every enclosure, at every knot."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from cases import SHAPES, SQUARE, gaussian, planted, spectrum
from scipy.integrate import solve_ivp

from basins import Problem
from basins.proof import TIERS, Enclosures, enclosures, labels
from basins.proof.steps import Tier

REACHED = {"B": 0.2, "C": 0.04, "D": 0.04, "E": 0.005}
"""The largest distance over radius that a tier's knots must come to: far below it a bound would hide slack."""


def ratios(problem: Problem, start: np.ndarray, found: Enclosures) -> np.ndarray:
    """Distance over radius at every knot; 0 at the first."""
    pieces = 2 if found.W_low.any() else 1
    return oracle.distances(problem, oracle.along(problem, start, found.h, pieces), found)


@pytest.mark.parametrize("tier", TIERS)
def test_the_true_solution_is_inside_at_every_knot(tier: str) -> None:
    worst = 0.0
    for seed, name in enumerate(["2222", "chain", "4443", "22222", "raw 432"]):
        problem = SHAPES[name]
        start = gaussian(problem, 1, seed)[0]
        found = enclosures(problem, start, tier=tier)
        inside = ratios(problem, start, found)
        assert inside.max() < 1, (name, tier)
        worst = max(worst, inside.max())
    assert worst > REACHED[tier]


def test_the_oracle_agrees_with_itself_and_with_scipy() -> None:
    start = gaussian(SQUARE, 1, 4)[0]
    here = flat(oracle.along(SQUARE, start, np.full(8, 2.0**-4))[-1])
    finer = flat(oracle.along(SQUARE, start, np.full(16, 2.0**-5), 2, 50)[-1])
    assert np.abs(here - finer).max() < 1e-15
    scipy = solve_ivp(lambda t, w: -SQUARE.gradient(w), (0, 0.5), start, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.abs(here - scipy).max() < 1e-10


def flat(layers: list) -> np.ndarray:
    return np.concatenate([[float(x) for x in layer.entries()] for layer in layers])


def tangent(problem: Problem, start: np.ndarray, t: float) -> np.ndarray:
    """The derivative of the flow's state at t by its start, (n, n)."""
    n = problem.n

    def field(_: float, y: np.ndarray) -> np.ndarray:
        M = y[n:].reshape(n, n)
        return np.concatenate([-problem.gradient(y[:n]), -(problem.hessian(y[:n]) @ M).ravel()])

    y = solve_ivp(field, (0, t), np.concatenate([start, np.eye(n).ravel()]), "DOP853", rtol=1e-9, atol=1e-10).y[:, -1]
    return y[n:].reshape(n, n)


@pytest.mark.parametrize("tier", ["B", "D"])
def test_a_ball_is_nearly_filled_by_its_worst_direction(tier: str) -> None:
    """Half the logarithmic norm, the trace in its place, or none, would leave these points outside."""
    reached = []
    for seed in (1, 3, 5):
        start, radius = gaussian(SQUARE, 1, seed)[0], 1e-5
        found = enclosures(SQUARE, start, radius, tier=tier)
        direction = np.linalg.svd(tangent(SQUARE, start, found.h.sum()))[2][0]
        for sign in (1, -1):
            moved = start + sign * radius * (1 - 1e-9) * direction
            inside = oracle.distances(SQUARE, oracle.along(SQUARE, moved, found.h), found)
            assert inside.max() < 1
            reached.append((inside[-1], found.proof.growth[0]))
    fullest = max(inside for inside, _ in reached)
    assert fullest > {"B": 0.2, "D": 0.5}[tier]
    assert any(inside > np.exp(-growth / 2) for inside, growth in reached), "a halved growth would pass unseen"


def test_short_steps_are_as_far_off_as_their_jumps_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps so short that only the rounding of their ends is left: without the jump the first knots would be out."""
    monkeypatch.setattr(labels, "tier_of", lambda name, n: Tier(10, 1e-40, 0.3, False, False, 12))
    start = gaussian(SQUARE, 1, 6)[0]
    assert 0.1 < ratios(SQUARE, start, enclosures(SQUARE, start)).max() < 1


@pytest.mark.slow
def test_a_thousand_trajectories_are_inside() -> None:
    """Every shape and tier, hard starts among them: what is printed is the page's."""
    worst: dict[str, float] = {}
    knots = 0
    for tier, each in (("B", 40), ("C", 40), ("D", 30), ("E", 12)):
        for seed, (_, problem) in enumerate(SHAPES.items()):
            for start in gaussian(problem, each, 100 + seed):
                found = enclosures(problem, start, tier=tier)
                inside = ratios(problem, start, found)
                worst[tier], knots = max(worst.get(tier, 0.0), inside.max()), knots + len(inside)
    for start in planted(SQUARE, (0,), 24, 7):
        for distance in (1e-4, 1e-8):
            moved = start + distance * np.random.default_rng(8).normal(size=SQUARE.n)
            found = enclosures(SQUARE, moved, tier="D")
            worst["planted"] = max(worst.get("planted", 0.0), ratios(SQUARE, moved, found).max())
    print(f"{knots} knots, largest distance over radius by tier: {worst}")
    assert max(worst.values()) < 1


def test_a_stiff_start_is_enclosed() -> None:
    """Layers of scale 10: times are 10^4 shorter; coefficients are kept in a unit of time of their own."""
    start = gaussian(SQUARE, 1, 2, scale=10.0)[0]
    for tier in ("B", "E"):
        found = enclosures(SQUARE, start, tier=tier)
        first = Enclosures(found.h[:8], found.W[:8], found.W_low[:8], found.error[:8], found.proof)
        assert 0 < ratios(SQUARE, start, first).max() < 1


def test_a_target_of_another_scale_is_enclosed() -> None:
    problem = spectrum([2e-6, 1e-6], 2, 2, 2)
    start = gaussian(problem, 1, 3, scale=0.005)[0]
    found = enclosures(problem, start, tier="C")
    assert 0 < ratios(problem, start, found).max() < 1
