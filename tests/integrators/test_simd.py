"""The lanes engine against scipy, and against itself with other lanes."""

from dataclasses import replace

import numpy as np
import pytest
from lanes_cases import SHAPES, everything, gaussian, leg, problem_of
from scipy.integrate import solve_ivp

from basins.integrators.base import Settings, Stop
from basins.integrators.scipy import Reference
from basins.integrators.simd import integrator as lanes_engine
from basins.integrators.simd.integrator import SWITCHING, EngineWarning, Lanes

U = 2.0**-53
SETTINGS = Settings(engine="lanes", method="DOP853")


def accepted(problem, start, t_end, settings=SETTINGS):
    """Every accepted (t, state) of a trajectory: its start once for each budget, so each row stops a step later."""
    most = 120
    ends = Lanes().integrate(
        problem, leg(np.tile(start, (most, 1)), budget=2 + 12 * np.arange(1, most + 1), t_end=t_end), settings
    )
    last = int(np.flatnonzero(ends.stop == Stop.T_END)[0])
    t, first = np.unique(ends.t[: last + 1], return_index=True)  # a rejected attempt makes two budgets stop at one time
    return t, ends.state[first]


def scipys(problem, start, t_end):
    run = solve_ivp(
        lambda t, W: -problem.gradient(W), (0, t_end), start, method="DOP853", rtol=SETTINGS.rtol, atol=SETTINGS.atol
    )
    return run.t[1:], run.y.T[1:]


@pytest.mark.parametrize("raw", [False, True], ids=["reduced", "raw"])
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_a_lane_takes_the_steps_of_solve_ivp(widths, raw):
    """Accepted times and states, in multiples of rounding.

    A step size feels the rounding of its error estimate, a small difference of large terms, and later steps inherit
    it. So the unit is measured: how far scipy's own steps move when the start moves by a rounding in each component.
    """
    problem = problem_of(widths, raw)
    for seed, scale in ((0, 0.5), (1, 0.3)):
        start = gaussian(problem, 1, scale, seed)[0]
        t, states = accepted(problem, start, 1.0)
        t_scipy, states_scipy = scipys(problem, start, 1.0)
        assert len(t) == len(t_scipy)
        unit_t, unit = np.full(len(t), U), np.full(len(t), U * np.abs(states_scipy).max())
        signs = np.random.default_rng(7).choice([-1, 1], size=(6, problem.n))
        for sign in signs:
            t_moved, moved = scipys(problem, start * (1 + 2 * U * sign), 1.0)
            unit_t = np.maximum(unit_t, np.abs(t_moved - t_scipy))
            unit = np.maximum(unit, np.abs(moved - states_scipy).max(axis=1))
        assert (np.abs(t - t_scipy) <= 32 * np.maximum.accumulate(unit_t)).all()
        assert (np.abs(states - states_scipy).max(axis=1) <= 32 * np.maximum.accumulate(unit)).all()
        assert np.abs(t - t_scipy).max() < 1e-5


def test_error_against_a_tight_solution():
    problem = problem_of((5, 4, 4, 3))
    starts = gaussian(problem, 8)
    ends = Lanes().integrate(problem, leg(starts, t_end=1.0), SETTINGS)
    truth = Reference().integrate(problem, leg(starts, t_end=1.0), Settings(method="DOP853", rtol=1e-13, atol=1e-14))
    assert np.sqrt(np.mean((ends.state - truth.state) ** 2)) < 1e-8


@pytest.mark.parametrize("widths", [(2, 2, 2, 2), (4, 4, 3), (6, 5, 3, 7, 2, 2)], ids=str)
def test_bytes_do_not_depend_on_lanes(widths):
    problem = problem_of(widths)
    level = 0.5 * problem.sigma_min**2
    task = leg(gaussian(problem, 37), level=level, watch=np.arange(37) % 3 == 0)
    expected = everything(Lanes(1).integrate(problem, task, SETTINGS))
    for count in (2, 4, 8, 16):
        assert everything(Lanes(count).integrate(problem, task, SETTINGS)) == expected, count


def test_bytes_do_not_depend_on_order_or_batches():
    problem = problem_of((4, 4, 3))
    starts, level = gaussian(problem, 50), 0.5 * problem.sigma_min**2
    starts[7], starts[20] = np.nan, 1e160
    whole = Lanes().integrate(problem, leg(starts, level), SETTINGS)
    order = np.random.default_rng(0).permutation(50)
    mixed = Lanes().integrate(problem, leg(starts[order], level), SETTINGS)
    assert mixed.state.tobytes() == whole.state[order].tobytes()
    assert mixed.evaluations.tobytes() == whole.evaluations[order].tobytes()
    parts = [Lanes().integrate(problem, leg(part, level), SETTINGS) for part in np.split(starts, [1, 6, 23])]
    assert b"".join(part.state.tobytes() for part in parts) == whole.state.tobytes()


@pytest.mark.parametrize(("method", "instead"), [("DOP853", "DOP853"), (SWITCHING, "LSODA")])
def test_no_target_for_this_cpu_says_so_and_uses_the_reference(method, instead, monkeypatch):
    def no_target(shape, lanes):
        raise RuntimeError("No available targets are compatible with triple")

    lanes_engine.compiled_or_none.cache_clear()
    monkeypatch.setattr(lanes_engine, "kernel", no_target)
    problem = problem_of((2, 2, 2, 2))
    task = leg(gaussian(problem, 3), level=0.5 * problem.sigma_min**2)
    with pytest.warns(EngineWarning, match="reference engine"):
        ends = Lanes().integrate(problem, task, replace(SETTINGS, method=method))
    lanes_engine.compiled_or_none.cache_clear()
    assert everything(ends) == everything(Reference().integrate(problem, task, replace(SETTINGS, method=instead)))


def test_a_shape_too_large_for_the_cache_says_so_and_still_runs():
    problem = problem_of((200, 30, 12))
    assert Lanes().notes(problem_of((4, 4, 3))) == ()
    (note,) = Lanes().notes(problem)
    assert "MiB" in note
    starts = gaussian(problem, 2, scale=0.1)
    ends = Lanes().integrate(problem, leg(starts, t_end=0.05), SETTINGS)
    other = Reference().integrate(problem, leg(starts, t_end=0.05), SETTINGS)
    np.testing.assert_allclose(ends.state, other.state, atol=1e-10)
    assert ends.steps.tolist() == other.steps.tolist()
