"""Rows at rest: what outlasts a saddle, what leaves it after all, and what may not be waited for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import basins
from basins import laws
from basins.classification import saddle_wait
from basins.classification.classify_batch import integrate, integrate_batch
from basins.classification.verdict import REASONS, Limits, Reason
from basins.estimate import estimate_run
from basins.execution.extension import create_or_resume, spent
from basins.execution.shard import compute_shard
from basins.experiment import Experiment
from basins.integrators.base import Settings
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.critical import classify, construct
from basins.landscapes.deep_linear.critical.settling import settle
from basins.landscapes.deep_linear.critical_sets import Certificate, DeepLinearSets
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import NearPlanted, starts
from basins.show import reintegrate, show

TINY = (1e-200, 1e-300, 5e-324)
METHODS = ("DOP853", "RK45", "LSODA", "Radau", "BDF")


def square(hidden: int = 1) -> Problem:
    return Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,) * hidden)


def chain(layers: int = 3) -> Problem:
    return Problem.from_spectrum([1.0], d_x=1, hidden=(1,) * (layers - 1))


def beside(problem: Problem, e: float, fitted: float = 2**0.5) -> np.ndarray:
    """Mode 1 fitted, or about to be; mode 2 of size e in the first and the last layer."""
    layers = [np.diag([fitted, 1.0]) for _ in range(problem.H + 1)]
    layers[0][1, 1] = layers[-1][1, 1] = e
    return problem.pack(layers)


def antisymmetric(problem: Problem, y: float = 0.4) -> np.ndarray:
    """theory.md 6.8: on the stable manifold of S = {0}, in floating point too."""
    return problem.pack([np.diag([0.7, y]), np.diag([0.9, -y])])


def settled(found: Limits) -> bool:
    return bool((found.verdict == Verdict.censored).all() and (found.reason == Reason.settled).all())


class TestNoSaddle:
    """Starts whose flow leaves, after a time that is long because what carries them away is small."""

    @pytest.mark.parametrize("e", TINY)
    @pytest.mark.parametrize("H", [1, 2, 3])
    def test_a_small_component_leaves_in_its_own_time(self, H: int, e: float) -> None:
        problem = square(H)
        start = beside(problem, e, 2 ** (1 / (H + 1)))
        assert settled(integrate(problem, start))
        found = integrate(problem, start, wait=True)
        assert found.verdict[0] == Verdict.minimum
        assert found.time[0] == pytest.approx(-np.log(e), rel=0.05)  # 460 to 745, at rate 1

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("e", TINY)
    def test_whatever_the_method(self, method: str, e: float) -> None:
        problem = square()
        for fitted in (2**0.5, 0.7):
            found = integrate(problem, beside(problem, e, fitted), engine="reference", method=method, wait=True)
            assert found.verdict[0] == Verdict.minimum
            assert found.time[0] == pytest.approx(-np.log(e), rel=0.05)

    def test_a_chain_of_three_weights(self) -> None:
        """theory.md 5: a positive product, so the limit is the minimum."""
        start = [1e-300, 1e-300, 1.0]
        assert settled(integrate(chain(), start))
        found = integrate(chain(), start, wait=True)
        assert found.verdict[0] == Verdict.minimum
        assert found.time[0] == pytest.approx(300 * np.log(10), rel=0.02)

    def test_a_slow_way_out_of_a_fast_saddle(self) -> None:
        """A dead unit: the rates out are 1, where nothing is, and 0.0204, where 1e-16 is; the fastest is 49."""
        problem = Problem.from_spectrum([1.0], d_x=2, hidden=(2,))
        start = problem.pack([[[1e-16, 7.0], [0.0, 0.0]], [[1e-16, 0.0]]])
        at = settle(problem, start, 7.0)
        assert at is not None
        assert at.slowest_out == pytest.approx((np.sqrt(49**2 + 4) - 49) / 2, rel=1e-6)
        assert at.fastest_out == pytest.approx(1.0)
        assert settled(integrate(problem, start))
        found = integrate(problem, start, wait=True)
        assert found.verdict[0] == Verdict.minimum
        assert 1500 < found.time[0] < 1806
        assert found.evaluations[0] < 50_000  # 650,000 by short steps

    @pytest.mark.parametrize("d_x", [2, 12])
    @pytest.mark.parametrize("hidden", [(2,), (2, 2), (2, 2, 2)])
    @pytest.mark.parametrize("modes", [(0,), (1,), ()])
    @pytest.mark.parametrize("distance", [1e-290, 1e-305])
    def test_a_law_beside_a_stable_manifold(
        self, d_x: int, hidden: tuple[int, ...], modes: tuple[int, ...], distance: float
    ) -> None:
        """Compressed (d_x = 12) or not, one unstable direction or several, slow or fast."""
        problem = Problem.from_spectrum([2.0, 1.0], d_x=d_x, hidden=hidden)
        W = starts(problem, NearPlanted(modes, distance, 0.8), 1, 0)[:16]
        assert settled(integrate(problem, W))
        found = integrate(problem, W, wait=True)
        assert not (found.verdict == Verdict.saddle).any()

    def test_several_unstable_directions_the_least_in_the_slowest(self) -> None:
        problem = Problem.from_spectrum([3.0, 1.0, 0.05], d_x=3, hidden=(3,))
        for small in ((1e-100, 5e-324), (5e-324, 5e-324), (5e-324, 1e-300), (1e-300, 1e-310)):
            start = problem.pack([np.diag([3**0.5, *small])] * 2)
            assert integrate(problem, start, wait=True, budget=10**7).verdict[0] != Verdict.saddle
        start = problem.pack([np.diag([3**0.5, 1e-250, 1e-250])] * 2)
        found = integrate(problem, start, wait=True, budget=10**7)
        assert found.verdict[0] == Verdict.minimum
        assert found.time[0] == pytest.approx(250 * np.log(10) / 0.05, rel=0.1)

    def test_in_the_raw_flow(self) -> None:
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
        problem = Problem.from_data(X, Y, hidden=(2,), flow="raw")
        for S in ((0,), (1,)):
            start = construct(problem, S, "strict", seed=1)
            assert settled(integrate(problem, start))
            assert integrate(problem, start, wait=True).verdict[0] == Verdict.minimum
        still = Problem.from_data(X, Y, hidden=(2, 2), flow="raw")
        assert settled(integrate(still, np.zeros(still.n), wait=True))  # W = 0 is a non-strict saddle

    def test_growth_that_underflows_is_not_outlasted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """sigma_2 = 2^-9 sigma_1: short steps multiply 5e-324 by less than 1.5, so it stays what it is for ever."""
        problem = Problem.from_spectrum([2.0, 2.0**-8], d_x=2, hidden=(2,))
        layers = [np.diag([2**0.5, 0.0]) for _ in range(2)]
        layers[0][1, 1] = 5e-324
        start = problem.pack(layers)
        hurried = {"wait": True, "budget": 10**8, "method": "DOP853"}
        assert settled(integrate(problem, start, **hurried))
        monkeypatch.setattr(DeepLinearSets, "stays", lambda *_: True)
        assert integrate(problem, start, **hurried).verdict[0] == Verdict.saddle  # what sixty digits keep back

    def test_a_tie_that_rounding_makes_is_not_outlasted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One unit in the last place off the stable manifold, and 1e-20 beside 0.7: rounding may tie what is untied."""
        problem = square()
        starts = [antisymmetric(problem, y) for y in np.linspace(0.3, 0.6, 16)]
        starts += [W.copy() for W in starts]
        for k, W in enumerate(starts):
            W_1 = problem.unpack(W)[0]
            if k < 16:
                W_1[1, 1] = np.nextafter(W_1[1, 1], 1)
            else:
                W_1[0, 1] = W_1[1, 0] = 1e-20
        found = integrate(problem, np.array(starts), wait=True)
        assert not (found.verdict == Verdict.saddle).any()
        monkeypatch.setattr(DeepLinearSets, "stays", lambda *_: True)
        assert (integrate(problem, np.array(starts), wait=True).verdict == Verdict.saddle).any()

    def test_a_start_of_the_least_size(self) -> None:
        """Relative to itself 5e-324 is everything; it has to come as far as a state that fits a mode."""
        problem = Problem.from_spectrum([0.25], d_x=1, hidden=(1,))
        found = integrate(problem, [[-5e-324, 0.0], [5e-324, 5e-324], [0.0, 1e-320]], wait=True)
        assert not (found.verdict == Verdict.saddle).any()

    def test_a_product_that_underflows(self) -> None:
        """(1e-200)^2 is 0 in double precision: the computed flow never moves, the exact one leaves."""
        for wait in (False, True):
            found = integrate(chain(), [1e-200] * 3, wait=wait)
            assert settled(found)
            assert found.evaluations[0] == 1


class TestOutlasted:
    @pytest.mark.parametrize("method", METHODS)
    def test_by_any_method(self, method: str) -> None:
        problem = square()
        found = integrate(problem, antisymmetric(problem), engine="reference", method=method, wait=True)
        assert found.certificate[0] == Certificate.outlasted
        assert found.modes[0] == 0b01

    def test_twice_the_escape_of_the_least_double(self) -> None:
        """Rates out 1 and 0.2 of two antisymmetric modes: the slower one sets the wait."""
        problem = Problem.from_spectrum([2.0, 1.0, 0.2], d_x=3, hidden=(3,))
        start = problem.pack([np.diag([0.7, 0.4, 0.3]), np.diag([0.9, -0.4, -0.3])])
        found = integrate(problem, start, wait=True)
        assert found.certificate[0] == Certificate.outlasted
        size = max(np.linalg.norm(start), np.linalg.norm(found.state[0]))
        assert found.time[0] > 2 * (np.log(size) - np.log(5e-324)) / 0.2

    def test_a_budget_that_cannot_outlast_is_not_spent(self) -> None:
        problem = square()
        found = integrate(problem, antisymmetric(problem), wait=True, budget=10_000)
        assert settled(found)
        assert found.evaluations[0] < 1000

    def test_a_slice_of_the_wait_ends_no_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        problem = square()
        whole = integrate(problem, antisymmetric(problem), wait=True)
        monkeypatch.setattr(saddle_wait, "SLICE", 2_000)
        sliced = integrate(problem, antisymmetric(problem), wait=True)
        assert sliced.certificate[0] == Certificate.outlasted
        assert sliced.time[0] == pytest.approx(whole.time[0], rel=0.01)

    def test_a_long_wait_takes_no_implicit_method(self) -> None:
        """Rates of 200 in and 0.005 out: more evaluations than the lanes spend on a plateau before they take to Radau,
        which cannot tell its rejected steps."""
        problem = Problem.from_spectrum([100.0, 0.005], d_x=2, hidden=(2,))
        start = problem.pack([np.diag([9.0, 0.05]), np.diag([11.0, -0.05])])
        found = integrate(problem, start, wait=True, budget=10**7)
        assert found.evaluations[0] > 3 * 180_000
        assert found.time[0] > 1490 / 0.005
        assert found.rejected[0] >= 0
        assert settled(found)  # sixty digits would take too long

    def test_rows_do_not_know_their_neighbours(self) -> None:
        problem = square()
        W = np.array([antisymmetric(problem, y) for y in (0.3, 0.4, 0.5)] + [beside(problem, 1e-200, 0.7)])
        whole = integrate(problem, W, wait=True)
        assert list(whole.verdict) == [Verdict.saddle] * 3 + [Verdict.minimum]
        for row in range(4):
            alone = integrate(problem, W[row], wait=True)
            np.testing.assert_array_equal(alone.state[0], whole.state[row])
            assert alone.evaluations[0] == whole.evaluations[row]

    def test_beside_a_non_strict_saddle_nothing_is_waited_for(self) -> None:
        problem = square(2)
        start = problem.pack([np.diag([2 ** (1 / 3), 0.0])] * 3)
        start[1] = 1e-100  # not planted bitwise
        assert not classify(problem, start).normally_hyperbolic
        found = integrate(problem, start, wait=True)
        assert settled(found)
        assert found.evaluations[0] < 1000

    def test_strict_is_not_enough(self) -> None:
        """Strict, but with more flat directions than the critical set has: W_2 = diag(1, 0) between two zeros."""
        problem = square(2)
        flat = problem.pack([np.zeros((2, 2)), np.diag([1.0, 0.0]), np.zeros((2, 2))])
        clear = problem.pack([np.zeros((2, 2)), np.diag([1.0, 0.5]), np.zeros((2, 2))])
        assert not classify(problem, flat).normally_hyperbolic
        assert classify(problem, clear).normally_hyperbolic
        for W, hyperbolic in ((flat, False), (clear, True)):
            at = settle(problem, W, 1.0)
            assert at is not None
            assert at.hyperbolic == hyperbolic

    def test_every_saddle_of_one_hidden_layer_is_normally_hyperbolic(self) -> None:
        problem = Problem.from_spectrum([3.0, 2.0, 1.0], d_x=4, hidden=(4,))
        for S in ((), (0,), (1,), (0, 2), (1, 2)):
            W = construct(problem, S, "strict", seed=3)
            assert classify(problem, W).normally_hyperbolic
            at = settle(problem, W, float(np.linalg.norm(W)))
            assert at is None or at.hyperbolic  # W = 0 is named by no size


# --- laws, runs, and what is said ------------------------------------------------------------------------------------

NEAR = """name = "near"
seed = 1
trajectories = 64
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = {hidden}
[[case]]
name = "near"
law = {law}
"""
BESIDE = '{ name = "near_planted", modes = [0], distance = 1e-290, scale = 0.8 }'


class Antisymmetric(laws.Gaussian):
    """Null, and outlasted: what the two laws that are null do not draw."""

    def sample(self, problem: Problem, q: np.ndarray) -> np.ndarray:  # type: ignore[override]
        y = 0.3 + 0.2 * np.abs(q[:, 0])
        return np.array([antisymmetric(problem, one) for one in y])


def test_a_row_of_a_law_with_a_density_settles_at_once() -> None:
    experiment = Experiment.from_toml(NEAR.format(hidden=[2], law=BESIDE), Path())
    rows = compute_shard(experiment.cases[0], 1, range(1), 0).trajectories.to_pandas()
    assert (rows.verdict == "censored").all()
    assert (rows.reason == "settled").all()
    assert rows.t.max() < 60
    assert rows.evaluations.max() < 3000


@pytest.mark.parametrize("null", [False, True])
def test_a_law_waits_if_it_is_null(null: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    few = NEAR.replace("trajectories = 64", "trajectories = 4")
    case = Experiment.from_toml(few.format(hidden=[2], law='{ name = "gaussian", scale = 1.0 }'), Path()).cases[0]
    monkeypatch.setattr(Antisymmetric, "null", null)
    object.__setattr__(case, "law", Antisymmetric(1.0))
    rows = compute_shard(case, 1, range(1), 0).trajectories.to_pandas()
    said = rows.certificate.astype(str) if null else rows.reason.astype(str)
    assert (said == ("outlasted" if null else "settled")).all()


def test_a_run_of_settled_rows(tmp_path: Path) -> None:
    """Counted into the upper bound, never the lower one; again by the same rule; extended by nobody."""
    (tmp_path / "near.toml").write_text(NEAR.format(hidden=[2], law=BESIDE))
    run = basins.run(str(tmp_path / "near.toml"), out=str(tmp_path / "near"), on="inline")
    case = estimate_run(run).cases[0]
    assert (case.saddle, case.censored, case.reasons) == (0, 64, {"settled": 64})
    assert case.saddle_measure.lower == 0
    assert case.saddle_measure.upper == 1
    assert case.settled == {(0,): 64}
    shown = show(run, 3)
    first, tighter = reintegrate(run, shown)
    assert first.differs == ()
    assert tighter is not None
    assert tighter.row["reason"] == "settled"
    assert create_or_resume(run.files, run.manifest, 2_000_000) is None  # no budget changes them
    assert "settled" not in str(spent(run.manifest.cases[0]))
    null = Experiment.from_toml(NEAR.format(hidden=[2], law='{ name = "balanced" }'), Path()).cases[0]
    assert "settled" in str(spent(null))


def test_1024_rows_at_rest_cost_little() -> None:
    """At distance 1e-200 on 2-2-2, where 256 took ten minutes. `make bench` has the seconds; here it is evaluations."""
    problem = square()
    W = starts(problem, NearPlanted((0,), 1e-200, 0.8), 0, 0)
    watch = np.zeros(len(W), dtype=bool)
    at_once = integrate_batch(problem, W, Settings(), watch)
    assert settled(at_once)
    assert at_once.evaluations.max() < 1_000
    waited = integrate_batch(problem, W, Settings(), watch, True)
    assert (waited.verdict == Verdict.minimum).all()
    assert waited.evaluations.max() < 30_000


# --- ties: where the computed flow is not the exact one -------------------------------------------------------------


def test_a_certificate_is_of_the_computed_state() -> None:
    """Known limitation (theory.md 5, 6.9). The product is not positive and the least size is tied, so the exact flow
    goes to a saddle. The computed one leaves by rounding, and what it gets is proved of the state it came to."""
    tied = integrate(chain(), [0.7, -0.7, 1.9])
    assert tied.verdict[0] == Verdict.minimum
    assert tied.certificate[0] == Certificate.level
    by_scipy = integrate(chain(), [-0.7, 0.7, 0.7], engine="reference", method="DOP853")
    assert by_scipy.verdict[0] == Verdict.minimum
    by_lanes = integrate(chain(), [-0.7, 0.7, 0.7])  # rounds the tied weights alike, and comes to rest
    assert REASONS[by_lanes.reason[0]] == "settled"
