"""Certified flows are integrated to their limits by the lanes engine, and no certificate may be contradicted.

Each row is certified by its invariants at t = 0 or by the loss level on the way, and carried on from there to
L < 1e-12 sigma_min^2. None may end anywhere else, none may break its guaranteed rate, and for H = 1 none may settle,
even in passing, beside a stratum that its invariants exclude.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, fields

import numpy as np
import pytest

from basins import Problem, certify
from basins.integrators.base import IntegrationRequest, IntegrationResult, Settings, Stop, at_rest
from basins.integrators.simd.integrator import Lanes
from basins.landscapes.deep_linear.certificates import level, level_margin
from basins.landscapes.deep_linear.critical.settling import settle
from basins.laws import BLOCK, NearPlanted, starts

SIGMA = np.array([2.0, 1.1, 0.4])
SHAPES = [
    (2, 2, 2), (3, 4, 2), (4, 3, 1), (3, 3, 2), (5, 4, 3), (3, 6, 3), (2, 5, 2),
    (2, 2, 2, 2), (3, 4, 3, 2), (3, 3, 4, 3), (2, 3, 2, 1), (4, 4, 4, 2), (2, 2, 3, 2), (3, 2, 2, 2),
    (2, 2, 2, 2, 2), (3, 4, 3, 2, 2), (2, 3, 4, 3, 2), (4, 3, 2, 2, 1), (3, 3, 3, 3, 2),
    (2, 2, 2, 2, 2, 2), (3, 4, 3, 3, 2, 2), (2, 3, 2, 3, 2, 1), (3, 2, 3, 2, 3, 2),
]  # fmt: skip
SETTINGS = Settings(rtol=1e-8, atol=1e-10)
BELOW = 1e-12
"""In units of sigma_min^2: a certified flow must get below this loss."""

NEAR = 1e-6
"""A visit has settled beside a saddle where its gradient is at rest, and D_W and L are within this of the stratum's."""


@dataclass
class Tally:
    """Trajectories by their outcome. level_only: those that the level alone certified."""

    trajectories: int = 0
    at_start: int = 0
    level_only: int = 0
    reached: int = 0
    spent: int = 0
    contradicted: int = 0
    rates_checked: int = 0
    rates_broken: int = 0
    settled_visits: int = 0
    excluded_visits: int = 0

    @property
    def certified(self) -> int:
        return self.at_start + self.level_only

    def __iadd__(self, other: Tally) -> Tally:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self


def problem_of(widths: tuple[int, ...]) -> Problem:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Problem.from_spectrum(SIGMA[: widths[-1]], d_x=widths[0], hidden=widths[1:-1])


def mixed_scales(problem: Problem, rng: np.random.Generator, count: int) -> np.ndarray:
    """Gaussian starts of scales 0.2 to 1.4, rising or falling with the layer: every kind of certificate occurs."""
    W = rng.standard_normal((count, problem.n))
    slope = rng.uniform(-1.25, 1.25, (count, 1, 1))
    for j, W_j in enumerate(problem.unpack(W)):
        W_j *= 0.5 * 2 ** (slope * (2 * j / problem.H - 1) + rng.uniform(-0.25, 0.25, (count, 1, 1)))
    return W


def flow_on(problem, states, t, below, budget, t_end=np.inf, watch=False) -> IntegrationResult:
    """From states (N, n) at times t (N,) until L < below, t_end or the budget; rest does not stop a row."""
    N = len(states)
    leg = IntegrationRequest(
        np.ascontiguousarray(states), t, np.full(N, below), np.full(N, np.inf), np.full(N, budget),
        np.broadcast_to(t_end, N).astype(float), np.full(N, np.inf), np.full(N, watch),
    )  # fmt: skip
    return Lanes().integrate(problem, leg, SETTINGS)


def certified_and_integrated_on(problem: Problem, W: np.ndarray, budget: int) -> Tally:
    """All of this module's claims on a batch of starts (N, n)."""
    N, below = len(W), BELOW * problem.sigma_min**2
    proved = certify(problem, W)  # before any integration
    invariants = proved.start.global_minimum
    way = flow_on(problem, W, np.zeros(N), level(problem), budget, watch=problem.H == 1)
    by_level = (way.stop == Stop.LEVEL) & (level_margin(problem, way.state) > 0)
    certified = np.flatnonzero(invariants | by_level)
    last = flow_on(problem, way.state[certified], way.t[certified], below, budget)
    reached = last.stop == Stop.LEVEL
    assert (problem.loss(last.state[reached]) < below).all()
    tally = Tally(
        trajectories=N,
        at_start=int(invariants.sum()),
        level_only=int((by_level & ~invariants).sum()),
        reached=int(reached.sum()),
        spent=int((last.stop == Stop.BUDGET).sum()),
    )
    # A flow that has not got there is a contradiction if it is at a saddle, or back above the level that certified it.
    for k in np.flatnonzero(~reached):
        at, row = last.state[k], certified[k]
        back = by_level[row] and problem.loss(at) > level(problem, 0.0)
        settled = settle(problem, at, float(np.linalg.norm(W[row])))
        tally.contradicted += bool(back or (settled is not None and settled.settled) or last.stop[k] != Stop.BUDGET)

    # L(t) <= L(0) e^{-2 rate t}: at both stops, and at times of the rate's own scale.
    rows = np.flatnonzero(proved.rate > 0)
    checks = [(way.t[rows], way.state[rows])]
    last_of = {int(row): k for k, row in enumerate(certified)}
    ends = [last_of[int(row)] for row in rows]
    checks.append((last.t[ends], last.state[ends]))
    for multiple in (0.1, 1.0):
        t_end = np.minimum(multiple / proved.rate[rows], 20.0)
        stopped = flow_on(problem, W[rows], np.zeros(len(rows)), -np.inf, budget, t_end=t_end)
        checks.append((stopped.t, stopped.state))
    for t, states in checks:
        bound = proved.loss_at_most[rows] * np.exp(-2 * proved.rate[rows] * t)
        # 1e-13: what tolerances of 1e-8 leave of a loss that has vanished.
        broken = problem.loss(states) > bound * (1 + 1e-6) + 1e-13 * problem.sigma_min**2
        tally.rates_checked += len(rows)
        tally.rates_broken += int(broken.sum())

    if problem.H == 1:
        tally += settled_visits(problem, W, proved, way)
    return tally


def settled_visits(problem: Problem, W: np.ndarray, proved, way: IntegrationResult) -> Tally:
    """H = 1: visits that have settled beside a saddle, and those beside one that the start excludes."""
    visits, row = way.visits, way.visits.row
    fitted, loss = problem.fitted(visits.state), problem.loss(visits.state)
    near = fitted > 0.5
    value = 0.5 * np.where(near, 0.0, problem.sigma**2).sum(axis=-1)
    norm = np.maximum(np.linalg.norm(visits.state, axis=1), np.linalg.norm(W[row], axis=1))
    settled = (
        at_rest(problem.rest, visits.gradient_norm, loss, norm)  # type: ignore[arg-type]
        & (np.abs(fitted - near).max(axis=-1) < NEAR)
        & (np.abs(loss - value) <= NEAR * value)
        & ~near.all(axis=-1)
    )
    rank = near.sum(axis=-1)
    excluded = settled & ((rank < proved.start.least_rank[row]) | (proved.rate[row] > 0))
    return Tally(settled_visits=int(settled.sum()), excluded_visits=int(excluded.sum()))


def beside_saddles(problem: Problem, seed: int, count: int) -> np.ndarray:
    """H = 1: starts 1e-9 beside the stable manifold of every saddle stratum. They settle there, and leave."""
    saddles = [tuple(i for i in range(problem.d_y) if mask >> i & 1) for mask in range((1 << problem.d_y) - 1)]
    laws = [NearPlanted(S, distance=1e-9, scale=0.7) for S in saddles]
    return np.concatenate([starts(problem, law, seed, 0)[: min(BLOCK, count // len(laws))] for law in laws])


def campaign(widths: tuple[int, ...], count: int, budget: int, seed: int, batch: int = 6000) -> Tally:
    problem = problem_of(widths)
    rng = np.random.default_rng([seed, *widths])
    tally = Tally()
    for first in range(0, count, batch):
        tally += certified_and_integrated_on(problem, mixed_scales(problem, rng, min(batch, count - first)), budget)
    if problem.H == 1:
        tally += certified_and_integrated_on(problem, beside_saddles(problem, seed, count), budget)
    return tally


FAST = [(2, 2, 2), (3, 4, 2), (5, 4, 3), (2, 2, 2, 2), (2, 2, 3, 2), (3, 4, 3, 2), (2, 2, 2, 2, 2), (2, 2, 2, 2, 2, 2)]


def test_no_certificate_is_contradicted():
    total = Tally()
    for widths in FAST:
        tally = campaign(widths, 100, 20_000, seed=1)
        assert tally.certified > 50, widths
        total += tally
    holds(total)


def test_no_certificate_is_contradicted_in_the_raw_flow():
    """Raw data: lam_min(X X^T) is in the rate, and the raw W_1 in C_1."""
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((12, 3)) / 8, rng.standard_normal((12, 2))
    for hidden in [(3,), (3, 3)]:
        problem = Problem.from_data(X, Y, hidden=hidden, flow="raw")
        tally = certified_and_integrated_on(problem, mixed_scales(problem, rng, 400), 20_000)
        assert tally.certified > 350
        assert tally.rates_checked > 20
        assert tally.contradicted == tally.rates_broken == tally.excluded_visits == 0


def test_wrong_certificates_are_contradicted(monkeypatch):
    """The same campaign finds contradictions if the rate is too large, or if eigenvalues of any size exclude ranks."""
    from basins.landscapes.deep_linear.certificates import spectra, start_certificates

    rate = start_certificates._rate
    monkeypatch.setattr(start_certificates, "_rate", lambda *given: 1.3 * rate(*given))
    assert campaign((4, 3, 1), 600, 20_000, seed=1).rates_broken > 0
    monkeypatch.undo()
    monkeypatch.setattr(spectra, "U", 1e-60)
    moved = campaign((3, 4, 2), 60, 20_000, seed=1)
    assert moved.excluded_visits > 0


def holds(total: Tally) -> None:
    assert total.contradicted == 0
    assert total.reached + total.spent == total.certified
    assert total.rates_broken == 0
    assert total.excluded_visits == 0
    assert total.rates_checked > 0
    assert total.settled_visits > 0


@pytest.mark.slow
def test_a_million_certificates_and_none_contradicted(capsys):
    began, total = time.perf_counter(), Tally()
    assert len(SHAPES) >= 20
    assert {len(widths) - 2 for widths in SHAPES} == {1, 2, 3, 4}
    lines = []
    for widths in SHAPES:
        clock = time.perf_counter()
        tally = campaign(widths, 48_000, 20_000, seed=2)
        total += tally
        lines.append(f"{widths!s:20} {tally} {time.perf_counter() - clock:.0f} s")
    with capsys.disabled():
        print("", *lines, f"{total}, {time.perf_counter() - began:.0f} s", sep="\n")
    holds(total)
    assert total.certified >= 10**6
    assert total.spent < 0.02 * total.certified
