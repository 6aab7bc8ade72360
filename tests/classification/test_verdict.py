"""Verdicts: what must never be said of an end state, and what must be."""

from __future__ import annotations

import numpy as np
import pytest

from basins.classification import saddle_wait
from basins.classification.classify_batch import integrate, integrate_batch
from basins.classification.verdict import REASONS, Reason
from basins.errors import ArgumentError
from basins.integrators.base import Settings
from basins.landscapes.base import NONE, Verdict
from basins.landscapes.deep_linear import critical_sets
from basins.landscapes.deep_linear.critical import settling
from basins.landscapes.deep_linear.critical_sets import VERDICTS, Certificate
from basins.landscapes.deep_linear.invariant_zeros import invariant_modes
from basins.landscapes.deep_linear.problem import Problem


def gaussian(problem: Problem, count: int, scale: float, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((count, problem.n))


def planted(problem: Problem, S: tuple[int, ...], count: int = 4, seed: int = 0) -> np.ndarray:
    """theory.md 6.7: the S^c columns of W_1 and rows of W_{H+1} are zero, the rest is generic."""
    layers = problem.unpack(gaussian(problem, count, 0.7, seed))
    for i in set(range(problem.d_y)) - set(S):
        layers[0][..., i] = 0.0
        layers[-1][..., i, :] = 0.0
    return problem.pack(layers)


def antisymmetric() -> tuple[Problem, np.ndarray]:
    """theory.md 6.8: (W_2)_11 = -(W_1)_11 stays on the stable manifold of S = {0} in floating point, with no zero in
    sight.
    """
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    return problem, problem.pack([np.diag([0.7, 0.4]), np.diag([0.9, -0.4])])[None]


class TestMinimum:
    def test_a_budget_spent_below_the_level_is_certified_where_it_stands(self) -> None:
        """Engines go on to 1 - 2 delta, so that rounding cannot take a certificate back; proved it is at 1 - delta."""
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
        start, delta = gaussian(problem, 1, 0.5), 0.1
        slowly = {"engine": "reference", "method": "RK45", "rtol": 1e-12, "delta": delta}
        to_the_end = integrate(problem, start, **slowly)
        most = int(to_the_end.evaluations[0])
        spent = [integrate(problem, start, budget=budget, **slowly) for budget in range(most - 60, most, 6)]
        between = [one for one in spent if 1 - one.loss[0] / (0.5 * problem.sigma_min**2) > delta]
        assert between
        assert all(one.verdict[0] == Verdict.minimum and delta < one.margin[0] < 2 * delta for one in between)
        assert to_the_end.margin[0] > 2 * delta
        assert all(one.verdict[0] == Verdict.censored for one in spent[: -len(between)])

    def test_certified_by_the_level(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=5, hidden=(4, 4))
        found = integrate(problem, gaussian(problem, 20, 0.5))
        assert (found.verdict == Verdict.minimum).all()
        assert (found.certificate == Certificate.level).all()
        assert (found.reason == NONE).all()
        assert (found.modes == 0b111).all()
        assert (found.rank == 3).all()
        assert (found.loss < 0.5 * 0.25).all()
        np.testing.assert_allclose(found.margin, 1 - found.loss / 0.125, rtol=1e-9)
        assert (found.margin < 1 - found.loss / 0.125).all()  # rounding is given up
        assert (found.margin > 1e-6).all()
        assert (found.drift < 1e-7).all()
        assert (found.loss_increase <= 1e-15).all()

    def test_a_start_below_the_level_never_moves(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
        start = problem.pack([np.diag([1.4, 1.0]), np.diag([1.4, 0.99])])
        found = integrate(problem, start)
        assert found.verdict[0] == Verdict.minimum
        assert found.time[0] == 0
        assert found.steps[0] == 0
        assert found.evaluations[0] == 1
        np.testing.assert_array_equal(found.state[0], start)

    @pytest.mark.parametrize("H", [1, 2, 3])
    def test_the_planted_saddle_next_to_the_minimum_is_no_minimum(self, H: int) -> None:
        """At S = {1..d_y-1} the loss equals the level 1/2 sigma_min^2 to rounding; delta keeps the two apart."""
        problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=4, hidden=(3,) * H)
        found = integrate(problem, planted(problem, (0, 1)))
        assert (found.verdict == Verdict.saddle).all()
        run_on = integrate(problem, planted(problem, (0, 1)), certify=False, t_end=100.0)
        assert np.abs(run_on.loss - 0.125).max() < 1e-12
        assert (run_on.verdict != Verdict.minimum).all()

    def test_a_moved_threshold_is_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The guard guards: with a level above 1/2 sigma_min^2 a free start beside that saddle is called minimum."""
        problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=4, hidden=(3,))
        start = planted(problem, (0, 1), count=1)
        layers = problem.unpack(start.copy())
        layers[0][..., 2] = 1e-9
        beside = problem.pack(layers)

        def verdict() -> int:
            return int(integrate(problem, beside, certify=False, t_end=12.0).verdict[0])

        assert verdict() == Verdict.censored
        monkeypatch.setattr(critical_sets, "level", lambda problem, delta: 0.5 * problem.sigma_min**2 * (1 + 1e-6))
        assert verdict() == Verdict.minimum  # what a wrong threshold would say

    def test_certified_at_the_start(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(3,))  # d_1 = d_x + d_y - 1: every start
        found = integrate(problem, gaussian(problem, 50, 0.5), at_start=True)
        assert (found.verdict == Verdict.minimum).all()
        at_start = np.isin(found.certificate, (Certificate.rate, Certificate.rank))
        assert at_start.mean() > 0.9
        assert (found.time[at_start] == 0).all()
        assert (found.margin[at_start] > 0).all()


class TestSaddle:
    @pytest.mark.parametrize("H", [1, 2, 3])
    def test_planted_starts_end_where_planted(self, H: int) -> None:
        problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=5, hidden=(4,) * H)
        for mask in range(7):
            S = tuple(i for i in range(3) if mask >> i & 1)
            found = integrate(problem, planted(problem, S))
            assert (found.verdict == Verdict.saddle).all()
            assert (found.certificate == Certificate.invariant).all()
            assert (found.modes == mask).all()
            assert (found.rank == len(S)).all()
            zeros = invariant_modes(problem, found.state)
            assert (zeros == [i not in S for i in range(3)]).all()

    def test_outlasted(self) -> None:
        problem, start = antisymmetric()
        found = integrate(problem, start, wait=True)
        assert found.verdict[0] == Verdict.saddle
        assert found.certificate[0] == Certificate.outlasted
        assert found.modes[0] == 0b01
        assert found.rank[0] == 1
        assert found.margin[0] < 1e-12
        assert found.rank_gap[0] < 1e-12
        rate = problem.sigma_min  # along the one way out; the least positive double has left twice over
        assert found.time[0] > 2 * (np.log(np.linalg.norm(start)) - np.log(5e-324)) / rate

    def test_outlasted_at_the_origin(self) -> None:
        """The limit W = 0 has no norm to be relative to: the size is the start's."""
        problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
        found = integrate(problem, [[0.4, -0.4], [0.4, -0.4000001]], wait=True)
        assert list(found.verdict) == [Verdict.saddle, Verdict.minimum]
        assert found.certificate[0] == Certificate.outlasted

    def test_unasked_nothing_waits(self) -> None:
        problem, start = antisymmetric()
        found = integrate(problem, start)
        assert found.verdict[0] == Verdict.censored
        assert REASONS[found.reason[0]] == "settled"
        assert found.time[0] < 20
        assert found.evaluations[0] < 1000

    def test_without_room_for_tighter_tolerances_it_is_only_settled(self) -> None:
        problem, start = antisymmetric()
        found = integrate(problem, start, rtol=1e-13, wait=True)
        assert found.verdict[0] == Verdict.censored
        assert REASONS[found.reason[0]] == "settled"
        assert found.rank[0] == NONE

    def test_without_the_wait_a_passage_would_be_called_saddle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """4e-14 off the stable manifold: the reading tells it from a saddle, and so does the wait."""
        problem, start = antisymmetric()
        layers = problem.unpack(start.copy())
        layers[0][..., 1, 1] += 4e-14
        passing = problem.pack(layers)
        assert integrate(problem, passing, wait=True).verdict[0] == Verdict.minimum
        monkeypatch.setattr(settling, "SETTLED", 1e-6)
        monkeypatch.setattr(settling, "EMPTY", np.inf)
        monkeypatch.setattr(saddle_wait, "RELAX", 1)
        assert integrate(problem, passing, wait=True).verdict[0] == Verdict.minimum
        monkeypatch.setattr(saddle_wait, "PATIENCE", 0.001)
        assert integrate(problem, passing, wait=True).verdict[0] == Verdict.saddle  # what impatience would say

    @pytest.mark.parametrize("H", [2, 3])
    def test_a_slow_passage_is_no_saddle(self, H: int) -> None:
        """Starts of scale 1e-8: |grad| is at rounding for 1e7 units of time or more, and they leave (design.md,
        Limits).
        """
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,) * H)
        found = integrate(problem, gaussian(problem, 4, 1e-8), budget=4000)
        assert not (found.verdict == Verdict.saddle).any()
        assert (found.loss_start == found.loss_start[0]).all()

    def test_beside_a_non_strict_saddle_nothing_is_claimed(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
        W = problem.pack([np.diag([2 ** (1 / 3), 0.0])] * 3)
        beside = W + 1e-10 * np.random.default_rng(3).standard_normal((2, problem.n))
        found = integrate(problem, beside, budget=20_000)
        assert (found.verdict == Verdict.censored).all()
        assert (found.modes == 0).all()


class TestCensored:
    def test_budget(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
        found = integrate(problem, gaussian(problem, 5, 0.5), budget=50)
        spent = found.reason == Reason.evaluation_budget
        assert spent.any()
        assert (found.verdict[spent] == Verdict.censored).all()
        assert (found.evaluations <= 50 + 12).all()

    def test_t_end_is_exact(self) -> None:
        problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
        found = integrate(problem, [0.4, 0.3], certify=False, t_end=5.0)
        assert found.time[0] == 5.0
        found = integrate(problem, [0.01, -0.02], t_end=0.5)
        assert found.time[0] == 0.5
        assert found.reason[0] == Reason.t_end

    def test_a_loss_that_rounding_could_hide_proves_nothing(self) -> None:
        """Layers of norm 1e4 that cancel: L is below the level by less than its own rounding."""
        problem = Problem.from_spectrum([1.0], d_x=1, hidden=(2, 2))
        big = 1e5
        W = problem.pack([[[big], [1.0]], [[big, 0.0], [0.0, 1.0]], [[big, 1.0 - big**3]]])
        assert problem.loss(W) < 0.5 * (1 - 2e-6)
        found = integrate(problem, W)
        assert found.verdict[0] == Verdict.censored
        assert found.reason[0] == Reason.rounding

    def test_non_finite_rows_end_alone(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
        starts = gaussian(problem, 3, 0.5)
        starts[1] = 1e160
        found = integrate(problem, starts)
        assert found.reason[1] == Reason.non_finite
        assert found.verdict[0] == found.verdict[2] == Verdict.minimum

    def test_every_row_comes_back(self) -> None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
        starts = np.concatenate([gaussian(problem, 6, 0.5), planted(problem, (0,), 2), np.full((1, problem.n), 1e200)])
        found = integrate(problem, starts, budget=400)
        assert len(found) == len(starts)
        assert all(VERDICTS[code] for code in found.verdict)
        assert ((found.reason == NONE) == (found.verdict != Verdict.censored)).all()
        assert ((found.certificate == NONE) == (found.verdict == Verdict.censored)).all()


def test_rows_do_not_know_their_neighbours() -> None:
    problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=4, hidden=(3, 3))
    starts = gaussian(problem, 6, 0.5)
    whole = integrate(problem, starts)
    for row in (0, 5):
        alone = integrate(problem, starts[row])
        np.testing.assert_array_equal(alone.state[0], whole.state[row])
        assert alone.evaluations[0] == whole.evaluations[row]


def test_visits_are_kept_for_watched_rows_only() -> None:
    problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=4, hidden=(3, 3))
    watch = np.array([True, False, True, False])
    found = integrate_batch(problem, gaussian(problem, 4, 0.1), Settings(), watch)
    assert set(found.visits.row) <= {0, 2}
    assert len(found.visits.row) > 0
    for row in (0, 2):
        of_row = found.visits.row == row
        assert (np.diff(found.visits.t[of_row]) > 0).all()
        assert list(found.visits.number[of_row]) == list(range(of_row.sum()))
        assert (np.diff(found.visits.loss[of_row]) <= 0).all()
    assert (found.visits.rank == [int(m).bit_count() for m in found.visits.modes]).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rtol": -1e-8}, "rtol = -1e-08; tolerances are positive"),
        ({"rtol": 1e-15}, "below 100 eps"),
        ({"atol": 0.0}, "atol = 0.0"),
        ({"engine": "referense"}, "did you mean 'reference'"),
        ({"method": "RK45"}, "engine 'lanes' has no method 'RK45'; engine 'reference' has it"),
        ({"engine": "reference", "method": "RK54"}, "did you mean 'RK45'"),
        ({"budget": 0}, "budget = 0"),
        ({"t_end": -1.0}, "t_end = -1.0"),
        ({"certify": False}, "never stops"),
        ({"certify": False, "at_start": True, "t_end": 1.0}, "at_start"),
        ({"delta": 1.5}, "delta = 1.5"),
    ],
)
def test_refusals(arguments: dict[str, object], said: str) -> None:
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
    with pytest.raises(ArgumentError, match=said):
        integrate(problem, [0.1, 0.2], **arguments)  # type: ignore[arg-type]


def test_starts_are_checked() -> None:
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
    with pytest.raises(ArgumentError, match="row 1: a start that is not finite"):
        integrate(problem, [[0.1, 0.2], [np.nan, 0.1]])
    with pytest.raises(ArgumentError, match=r"shape \(3,\)"):
        integrate(problem, [0.1, 0.2, 0.3])
