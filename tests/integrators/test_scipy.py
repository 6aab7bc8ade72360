"""The reference engine takes the steps of scipy.integrate.solve_ivp, and counts them as scipy does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import basins
from basins.integrators.base import IntegrationRequest, Settings, Stop
from basins.integrators.scipy import Recorded, Reference
from basins.landscapes.deep_linear.problem import Problem


def leg(problem: Problem, starts: np.ndarray, t_end: float, **changes: object) -> IntegrationRequest:
    N = len(starts)
    fields: dict[str, object] = {
        "starts": starts,
        "t_start": np.zeros(N),
        "level": np.full(N, -np.inf),
        "rest_after": np.full(N, np.inf),
        "budget": np.full(N, 10**6),
        "t_end": np.full(N, t_end),
        "max_step": np.full(N, np.inf),
        "watch": np.ones(N, dtype=bool),
    }
    return IntegrationRequest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau", "BDF", "LSODA"])
@pytest.mark.parametrize("flow", ["reduced", "raw"])
def test_steps_are_those_of_solve_ivp(method: str, flow: str) -> None:
    rng = np.random.default_rng(4)
    problem = Problem.from_data(rng.normal(size=(30, 3)), rng.normal(size=(30, 2)), hidden=(3, 2), flow=flow)  # type: ignore[arg-type]
    starts = 0.5 * rng.standard_normal((2, problem.n))
    settings = Settings(method=method, rtol=1e-6, atol=1e-9)
    ends = Reference().integrate(problem, leg(problem, starts, 0.8), settings)
    implicit = {} if method in ("RK45", "DOP853") else {"jac": lambda t, W: -problem.hessian(W)}
    for row, start in enumerate(starts):
        scipy = solve_ivp(  # type: ignore[call-overload]
            lambda t, W: -problem.gradient(W), (0.0, 0.8), start, method=method, rtol=1e-6, atol=1e-9, **implicit
        )
        np.testing.assert_allclose(ends.state[row], scipy.y[:, -1], rtol=1e-12, atol=1e-14)
        assert ends.t[row] == 0.8
        assert ends.steps[row] == len(scipy.t) - 1
        assert ends.stop[row] == Stop.T_END
        if method in ("RK45", "DOP853"):
            assert ends.evaluations[row] == scipy.nfev + 1  # one more at the start, to test the level there


@pytest.mark.parametrize(("method", "stages"), [("RK45", 6), ("DOP853", 12)])
def test_rejected_steps_are_counted_from_evaluations(method: str, stages: int) -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(3, 3))
    starts = np.random.default_rng(0).standard_normal((10, problem.n))
    ends = Reference().integrate(problem, leg(problem, starts, 5.0), Settings(method=method))
    assert ends.rejected.sum() > 0
    # One evaluation at the start, two to choose the first step, then attempts.
    np.testing.assert_array_equal(ends.evaluations, 1 + 2 + stages * (ends.steps + ends.rejected))


def test_an_implicit_method_does_not_tell() -> None:
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
    ends = Reference().integrate(problem, leg(problem, np.array([[0.3, 0.2]]), 5.0), Settings(method="BDF"))
    assert ends.rejected[0] == -1


def test_a_limited_step_is_never_exceeded() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    start = problem.pack([np.eye(2), np.eye(2)])[None]
    short = leg(problem, start, 10.0, max_step=np.array([0.05]))
    ends = Reference().integrate(problem, short, Settings(method="RK45"))
    assert ends.steps[0] >= 200


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau", "BDF", "LSODA"])
def test_a_recorded_path_has_the_steps_and_the_interpolation_of_solve_ivp(method: str) -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(3, 2))
    starts = 0.5 * np.random.default_rng(4).standard_normal((2, problem.n))
    settings = Settings(method=method, rtol=1e-6, atol=1e-9)
    implicit = {} if method in ("RK45", "DOP853") else {"jac": lambda t, W: -problem.hessian(W)}
    ends = Reference().integrate(problem, leg(problem, starts, 0.8), settings)
    for row, path in enumerate(Reference().record(problem, leg(problem, starts, 0.8), settings, points=4)):
        scipy = solve_ivp(  # type: ignore[call-overload]
            lambda t, W: -problem.gradient(W), (0.0, 0.8), starts[row],
            method=method, rtol=1e-6, atol=1e-9, dense_output=True, **implicit,
        )  # fmt: skip
        assert path.stop == Stop.T_END
        assert path.steps == len(scipy.t) - 1 == ends.steps[row]
        np.testing.assert_allclose(path.t[::4], scipy.t, rtol=1e-12)
        np.testing.assert_allclose(
            np.diff(path.t).reshape(-1, 4), np.diff(scipy.t)[:, None] / 4 * np.ones(4), rtol=1e-6
        )
        np.testing.assert_allclose(path.state, scipy.sol(path.t).T, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(path.state[0], starts[row])
        np.testing.assert_allclose(path.state[-1], ends.state[row], rtol=0, atol=1e-15)  # interpolated there
        assert path.t[-1] == 0.8


def test_a_recorded_path_ends_where_its_row_stops() -> None:
    """At a level, on a budget, at a start that is below its level, and before a state that is not finite."""
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
    start = np.array([[0.3, 0.2]])

    def path(start: np.ndarray, **changes: object) -> Recorded:
        return Reference().record(problem, leg(problem, start, 50.0, **changes), Settings(method="DOP853"), 2)[0]

    below = path(start, level=np.array([0.1]))
    assert below.stop == Stop.LEVEL
    assert (problem.loss(below.state[:-2:2]) >= 0.1).all()
    assert problem.loss(below.state[-1]) < 0.1
    short = path(start, budget=np.array([40]))
    assert short.stop == Stop.BUDGET
    assert len(short.t) == 1 + 2 * short.steps == len(short.state)
    assert 0 < short.steps < below.steps
    still = path(start, level=np.array([10.0]))
    assert (still.stop, still.steps, still.t.tolist()) == (Stop.LEVEL, 0, [0.0])
    lost = path(np.array([[1e200, 1e200]]))
    assert (lost.stop, lost.steps) == (Stop.NON_FINITE, 0)
    assert np.isfinite(lost.state).all()


def test_one_loop_drives_scipys_solvers() -> None:
    """A second one would have budgets, stops and warnings of its own."""
    package = Path(basins.__file__).parent
    loops = [str(p.relative_to(package)) for p in package.rglob("*.py") if ".step()" in p.read_text()]
    assert loops == ["integrators/scipy.py"]
