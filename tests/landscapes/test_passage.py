"""Which visits pass a saddle: distances that are known exactly, and trajectories whose saddles are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from basins import Problem, run
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import VisitTable
from basins.experiment import Experiment
from basins.integrators.base import Settings
from basins.landscapes.base import NEAR
from basins.landscapes.deep_linear.evaluation import evaluate
from basins.landscapes.deep_linear.passage import distance, passes
from basins.laws import Gaussian, NearPlanted, starts
from basins.summary.transitions import START, transitions

EXAMPLES = Path(__file__).parents[2] / "examples"


def visits_of(problem: Problem, W: np.ndarray, settings: Settings | None = None) -> VisitTable:
    return integrate_batch(problem, W, settings or Settings(), np.ones(len(W), dtype=bool)).visits


def itineraries(problem: Problem, visits: VisitTable) -> dict[int, list[int]]:
    """The saddles that each row passes, in order; the same one twice in a row once."""
    found: dict[int, list[int]] = {}
    near = passes(distance(problem, visits.modes, visits.loss, visits.gradient_norm))
    for row, mask in zip(visits.row[near].tolist(), visits.modes[near].tolist(), strict=True):
        way = found.setdefault(row, [])
        if not way or way[-1] != mask:
            way.append(mask)
    return found


def at_states(problem: Problem, W: np.ndarray, mask: int) -> np.ndarray:
    there = evaluate(problem, np.atleast_2d(W))
    modes = np.full(len(there.loss), mask, dtype=np.uint64)
    return distance(problem, modes, there.loss, there.gradient_norm)


@pytest.mark.parametrize("H", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [0, 1])
def test_distance_of_balanced_weights_is_their_size(H: int, k: int) -> None:
    """Mode k at delta times its final weights, those before it fitted: the distance is delta, at any depth."""
    sigma, delta = np.array([2.0, 1.0]), 0.01
    problem = Problem.from_spectrum(sigma, d_x=2, hidden=(2,) * H)
    weights = np.where(np.arange(2) < k, 1.0, np.where(np.arange(2) == k, delta, 0.0)) * sigma ** (1 / (H + 1))
    W = np.concatenate([np.diag(weights).ravel()] * (H + 1))
    (found,) = at_states(problem, W, (1 << k) - 1)
    # L(S) - L = 1/2 sigma^2 (2 delta^(H+1) - delta^(2H+2)), at most 2 delta^2: below delta for H >= 1
    assert found == pytest.approx(delta * (1 - delta ** (H + 1)) ** (1 / H), rel=1e-6)


def test_small_gradient_with_distant_loss_is_not_near() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    modes, loss = np.zeros(3, dtype=np.uint64), np.array([2.5, 2.5 - 0.3 * 2.0, np.nan])
    found = distance(problem, modes, loss, np.full(3, 1e-6))
    assert found[1] == pytest.approx(0.3)
    assert passes(found).tolist() == [True, False, False]


def test_minima_and_unknown_values_have_no_distance() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    found = distance(problem, np.array([3, 0], dtype=np.uint64), [0.0, 2.5], [0.0, np.nan])
    assert np.isnan(found).all()
    assert not passes(found).any()


def test_a_diagonal_start_passes_the_origin_and_the_first_saddle() -> None:
    """Two scalar chains side by side: the second mode is fitted ten times as late as the first."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    W = np.concatenate([np.diag([1e-2, 1e-3]).ravel()] * 3)[None]
    visits = visits_of(problem, W)
    assert itineraries(problem, visits) == {0: [0b00, 0b01]}
    assert visits.t[0] == 0.0


@pytest.mark.parametrize("scale", [0.1, 0.01])
def test_distance_of_small_starts_is_their_scale(scale: float) -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    found = at_states(problem, starts(problem, Gaussian(scale), 1, 0), 0)
    assert 0.7 * scale < np.median(found) < 1.1 * scale


def test_planted_neighbours_pass_the_saddle_they_were_planted_beside() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    W = starts(problem, NearPlanted(modes=(0,), distance=1e-3, scale=0.5), 1, 0)[:100]
    passed = itineraries(problem, visits_of(problem, W))
    assert sum(0b01 in way for way in passed.values()) == 93  # the others come nearest below the level, unseen
    assert not any(0b10 in way for way in passed.values())


def test_distance_is_invariant_under_a_common_scale() -> None:
    """sigma -> 8 sigma, W -> 2 W, t -> t / 16 for H = 2: loss x 64, |grad L| x 32."""
    problem, larger = (Problem.from_spectrum([2.0 * c, 1.0 * c], d_x=2, hidden=(2, 2)) for c in (1, 8))
    W, settings = starts(problem, Gaussian(0.02), 1, 0)[:200], Settings()
    visits, others = visits_of(problem, W), visits_of(larger, 2 * W, replace(settings, atol=2 * settings.atol))
    passed = itineraries(problem, visits)
    assert len(passed) == 200
    assert sum(len(way) for way in passed.values()) > 250
    assert passed == itineraries(larger, others)
    last, again = (one.t[np.searchsorted(one.row, np.arange(200), side="right") - 1] for one in (visits, others))
    later = np.minimum(last, again) > 0
    assert later.sum() > 50
    assert np.median(last[later] / again[later]) == pytest.approx(16, rel=0.01)
    scaled = distance(larger, visits.modes, 64 * visits.loss, 32 * visits.gradient_norm)
    assert scaled == pytest.approx(distance(problem, visits.modes, visits.loss, visits.gradient_norm), rel=1e-12)


def test_raw_distance_is_invariant_under_units_of_the_inputs() -> None:
    """X -> 8 X, W -> W / 2 for H = 2: the same loss, |grad L| x 2."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3))
    problem, larger = (Problem.from_data(c * X, Y, hidden=(3, 3), flow="raw") for c in (1, 8))
    W, settings = 0.02 * rng.normal(size=(100, problem.n)), Settings()
    visits, others = visits_of(problem, W), visits_of(larger, W / 2, replace(settings, atol=settings.atol / 2))
    passed = itineraries(problem, visits)
    assert {0b000, 0b001} <= {mask for way in passed.values() for mask in way}
    assert passed == itineraries(larger, others)
    scaled = distance(larger, visits.modes, visits.loss, 2 * visits.gradient_norm)
    assert scaled == pytest.approx(distance(problem, visits.modes, visits.loss, visits.gradient_norm), rel=1e-9)


def test_orthonormal_inputs_are_as_in_the_reduced_flow() -> None:
    rng = np.random.default_rng(1)
    X = np.linalg.qr(rng.normal(size=(40, 4)))[0]
    Y = rng.normal(size=(40, 2))
    raw, reduced = (Problem.from_data(X, Y, hidden=(3,), flow=flow) for flow in ("raw", "reduced"))
    modes = np.array([0, 1, 2], dtype=np.uint64)
    loss, gradient_norm = 0.5 * float(raw.sigma @ raw.sigma) * np.ones(3), np.array([0.3, 0.02, 0.7])
    assert distance(raw, modes, loss, gradient_norm) == pytest.approx(distance(reduced, modes, loss, gradient_norm))


IRIS = (EXAMPLES / "iris.toml").read_text().split("[[case]]")[0].replace("visits_every = 100", "visits_every = 1")


@pytest.mark.parametrize(
    ("scale", "visits", "slow", "at_origin"),
    [(0.5, 1336, 1336, 0), (0.01, 2661, 27, 1024)],
)
def test_iris_passes_saddles_from_small_weights_only(
    tmp_path: Path, scale: float, visits: int, slow: int, at_origin: int
) -> None:
    """From scale 0.5 there is no gradient norm below 0.35 on the way, half are above 12: these are slow-downs."""
    text = IRIS.replace("scale = 0.5", f"scale = {scale}").replace("seed = 1", "seed = 1\ntrajectories = 1024")
    done = run(Experiment.from_toml(text, EXAMPLES), out=tmp_path / "run", on="inline")
    (case,) = done.manifest.cases
    found, table = transitions(done, case.key), done.visits()
    assert (found.watched, found.visits, found.slow_downs) == (1024, visits, slow)
    assert (table["passes"] == (table["distance"] <= NEAR)).all()
    assert (table["passes"].sum(), len(table)) == (visits - slow, visits)
    assert (0 in found.stays and found.stays[0].trajectories) == at_origin
    if scale == 0.5:
        assert (found.passed, found.without) == (0, 1024)
        assert found.counts == {(START, 0b111): 1024}
        assert table["gradient_norm"].median() > 12
    else:
        assert found.without == 0
        assert sum(there.stays for there in found.stays.values()) == found.passed > 2000
        assert Counter(mask.bit_count() for mask in found.stays) == {0: 1, 1: 2, 2: 1}
