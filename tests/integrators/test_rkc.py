"""Rows on plateaus: RKC's order and stability, the switch there and back, and what a row never notices of others."""

import numpy as np
import pytest
from lanes_cases import everything, gaussian, leg

from basins import Problem, integrate
from basins.experiment.data import sklearn_data
from basins.integrators.base import Settings, Stop
from basins.integrators.scipy import Reference
from basins.integrators.simd import integrator as lanes_engine
from basins.integrators.simd import rkc as rkc_module
from basins.integrators.simd import rkc_coefficients
from basins.integrators.simd.integrator import Lanes, run
from basins.integrators.simd.kernel import compiled, kernel
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.row_states import ROW
from basins.integrators.simd.step_code import scratch_of
from basins.landscapes.deep_linear.exact import balanced

PROBLEM = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
LEVEL = 0.5 * (1 - 2e-6)
SWITCHING, DOP853 = Settings(method="DOP853-RKC"), Settings(method="DOP853")


def beside_a_non_strict_saddle(N, distance, problem=PROBLEM, fitted=(0,), seed=0):
    """The fitted modes of size 1 and nearly aligned, everything else of this size in every layer: T ~ 1 / distance."""
    rng = np.random.default_rng(seed)
    starts = []
    for _ in range(N):
        layers = [distance * rng.normal(size=shape) for shape in problem.shapes]
        for mode in fitted:
            for layer in layers:
                layer[mode, mode] = rng.uniform(0.8, 1.2)
        starts.append(problem.pack(layers))
    return np.array(starts)


def rkc(problem, start, h, t_end, rtol=1e3):
    """RKC alone with steps of h, from `start`: (state, t, stop, steps, evaluations)."""
    code, n, state, row = kernel(problem.gradient_code(), 1), problem.n, start[None].copy(), np.zeros(1, dtype=ROW)
    row["size"], row["level"], row["rest_after"], row["budget"], row["t_end"] = h, -np.inf, np.inf, 10**6, t_end
    row["max_step"], row["first_norm"], row["before"] = h, 1.0, np.inf
    scratch = aligned(scratch_of(code.code) + 8)
    rkc_module.drive(
        code.stage, 2000, False, problem.H, problem.gram_norm, rtol, rtol, aligned(7 * n).reshape(7, n, 1), scratch,
        np.array([rtol, rtol, *problem.target.flat]), scratch[: problem.target.size].reshape(-1, 1),
        aligned(4).reshape(4, 1), state, row,
    )  # fmt: skip
    return state[0], row["t"][0], row["stop"][0], int(row["steps"][0]), int(row["evaluations"][0])


def test_order_2_on_an_exact_solution():
    """Two balanced modes (theory.md 6.3): one fitted, with rate 7.6, and one that grows slowly. The tolerance lets any
    step pass; a step is 2 to 4 of the fast mode's times, so that all have 3 stages."""
    s0, t_end = [2 - 1e-12, 0.02], 2.5
    start, exact = balanced(PROBLEM, s0, np.array([0.0, t_end]))
    counts = np.array([5, 6, 7, 8, 10])
    errors = []
    for count in counts:
        state, t, stop, steps, _ = rkc(PROBLEM, start, t_end / count * (1 + 1e-12), t_end)
        assert (t, stop, steps) == (t_end, Stop.T_END, count)
        errors.append(np.linalg.norm(state - exact))
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert 1.8 < order < 2.2, (order, errors)


@pytest.mark.parametrize("x", [8.0, 60.0, 1e3, 2e4])
def test_the_interval_of_stability(x):
    """Beside a minimum the flow is linear: one step of h = x / rho shrinks what lies along the fastest mode. It takes
    some sqrt(1.54 x) stages, and as many would not do for a step 1.5 times longer: the interval is used."""
    corner = PROBLEM.pack([np.diag([s ** (1 / 3) for s in PROBLEM.sigma])] * 3)
    rates, modes = np.linalg.eigh(PROBLEM.hessian(corner))
    start = corner + 1e-7 * modes[:, -1]
    state, _, stop, steps, evaluations = rkc(PROBLEM, start, x / rates[-1], x / rates[-1])
    assert (stop, steps) == (Stop.T_END, 1)
    assert np.linalg.norm(state - corner) < 1e-7
    stages = rkc_coefficients.stages_for(rkc_module.SAFE * x)
    assert stages <= 2 + np.sqrt(1.54 * 1.2 * x + 1)
    assert stages + 2 <= evaluations <= stages + 1 + rkc_module.POWERS
    assert abs(damped(stages, -rkc_coefficients.reach(stages))) < 1
    assert abs(damped(stages, -1.5 * rkc_coefficients.reach(stages))) > 1


def damped(s, z):
    """P_s(z) = a_s + b_s T_s(w_0 + w_1 z)."""
    w0 = 1 + rkc_coefficients.DAMPING / s**2
    T = np.polynomial.chebyshev.Chebyshev.basis(s)
    value, first, second = T(w0), T.deriv()(w0), T.deriv(2)(w0)
    if s < 60:
        assert rkc_coefficients.slope_at(w0, s) == pytest.approx(first / second, rel=1e-9)
    b = second / first**2
    return 1 - b * value + b * T(w0 + first / second * z)


def test_a_cube_root():
    for x in (1e-12, 1e-3, 0.5, 7.0):
        assert rkc_coefficients.cube_root(x) == pytest.approx(x ** (1 / 3), rel=0.01)


def test_error_across_a_plateau():
    """Against a tight solution, in multiples of the tolerance, at a fraction of DOP853's evaluations."""
    starts = beside_a_non_strict_saddle(5, 1e-3)
    whole = Lanes().integrate(PROBLEM, leg(starts, LEVEL), DOP853)
    task = leg(starts, t_end=0.9 * whole.t)
    truth = Reference().integrate(PROBLEM, task, Settings(method="LSODA", rtol=1e-12, atol=1e-14))
    ends = Lanes().integrate(PROBLEM, task, SWITCHING)
    plain = Lanes().integrate(PROBLEM, task, DOP853)
    assert (ends.stop == Stop.T_END).all()
    assert np.abs(ends.state - truth.state).max() < 100 * SWITCHING.rtol
    assert (ends.evaluations < plain.evaluations).all()
    assert ends.evaluations.sum() < plain.evaluations.sum() / 3
    assert (ends.loss_increase <= 1e-15).all()


def mixed():
    """Starts on their way to plateaus of all lengths, and some that meet none."""
    parts = [beside_a_non_strict_saddle(6, 1e-3), gaussian(PROBLEM, 5), beside_a_non_strict_saddle(3, 3e-5, seed=2)]
    return np.random.default_rng(0).permutation(np.concatenate(parts))


def test_bytes_do_not_depend_on_lanes_order_or_batches():
    starts = mixed()
    task = leg(starts, LEVEL, watch=np.arange(len(starts)) % 3 == 0)
    whole = Lanes(4).integrate(PROBLEM, task, SWITCHING)
    plain = Lanes(4).integrate(PROBLEM, task, DOP853)
    assert (whole.evaluations < plain.evaluations).sum() >= 8
    assert (whole.rejected >= 0).all()
    for count in (1, 2, 8, 16):
        assert everything(Lanes(count).integrate(PROBLEM, task, SWITCHING)) == everything(whole), count
    order = np.random.default_rng(1).permutation(len(starts))
    again = Lanes().integrate(PROBLEM, leg(starts[order], LEVEL), SWITCHING)
    for name in ("state", "t", "steps", "rejected", "evaluations", "loss_increase"):
        assert getattr(again, name).tobytes() == getattr(whole, name)[order].tobytes(), name
    parts = [Lanes().integrate(PROBLEM, leg(part, LEVEL), SWITCHING) for part in np.split(starts, [1, 4, 9])]
    assert b"".join(part.state.tobytes() for part in parts) == whole.state.tobytes()


def test_bytes_do_not_depend_on_the_cpu():
    task = leg(mixed(), LEVEL)
    plain = compiled(PROBLEM.gradient_code(), 4, "x86-64", "")
    native = kernel(PROBLEM.gradient_code(), 4)
    assert everything(run(plain, PROBLEM, task, SWITCHING)) == everything(run(native, PROBLEM, task, SWITCHING))


def test_planted_zeros_stay_bitwise():
    """Modes 0 and 1 are under way, 1 over a plateau; mode 2 is planted: its column and row are zero (theory.md 6.7)."""
    problem = Problem.from_spectrum([3.0, 2.0, 1.0], d_x=3, hidden=(3, 3))
    starts = beside_a_non_strict_saddle(5, 1e-3, problem)
    first, *_, last = problem.unpack(starts)
    first[:, :, 2], last[:, 2, :] = 0.0, 0.0
    ends = Lanes().integrate(problem, leg(starts, level=0.5 + 1.9), SWITCHING)
    plain = Lanes().integrate(problem, leg(starts, level=0.5 + 1.9), DOP853)
    assert (ends.stop == Stop.LEVEL).all()
    assert (ends.evaluations < plain.evaluations).any()
    first, *_, last = problem.unpack(ends.state)
    assert not first[:, :, 2].tobytes().strip(b"\0")
    assert not last[:, 2, :].tobytes().strip(b"\0")


def test_the_budget_holds_on_a_plateau():
    starts = beside_a_non_strict_saddle(1, 1e-5)
    budgets = np.array([250, 300, 400, 700, 1500, 3000, 6000])
    ends = Lanes().integrate(PROBLEM, leg(np.tile(starts, (7, 1)), -np.inf, budget=budgets), SWITCHING)
    assert (ends.stop == Stop.BUDGET).all()
    assert (ends.evaluations > budgets - 512).all()  # no step there takes as many stages
    assert (ends.evaluations <= budgets + 60).all()
    assert (np.diff(ends.t) >= 0).all()
    assert (ends.t[-1] > ends.t[:3]).all()


@pytest.mark.parametrize("plateau", [lanes_engine.PLATEAU, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_larger_budget_continues_the_same_path(plateau, monkeypatch):
    """What is decided within a budget is decided by the same steps with any larger one, Radau's included."""
    monkeypatch.setattr(lanes_engine, "PLATEAU", plateau)
    starts = mixed()
    columns = ("state", "t", "stop", "steps", "rejected", "evaluations", "loss_increase")
    whole = Lanes().integrate(PROBLEM, leg(starts, LEVEL, budget=10**6), SWITCHING)
    assert (whole.stop == Stop.LEVEL).all()
    assert (whole.rejected < 0).any() == (plateau == 1500)
    decided = []
    for budget in range(200, 6000, 97):
        ends = Lanes().integrate(PROBLEM, leg(starts, LEVEL, budget=budget), SWITCHING)
        done = ends.stop == Stop.LEVEL
        assert (ends.stop[~done] == Stop.BUDGET).all()
        assert (ends.t <= whole.t).all()
        for name in columns:
            assert getattr(ends, name)[done].tobytes() == getattr(whole, name)[done].tobytes(), (budget, name)
        decided.append(int(done.sum()))
    assert decided == sorted(decided)
    assert decided[0] < decided[-1]


def test_a_step_of_many_stages_keeps_to_the_budget(monkeypatch):
    monkeypatch.setattr(lanes_engine, "DENSE", 0)  # up to 2,122 stages
    starts = np.tile(beside_a_non_strict_saddle(1, 1e-7), (3, 1))
    budgets = np.array([4000, 7000, 12000])
    ends = Lanes().integrate(PROBLEM, leg(starts, -np.inf, budget=budgets), SWITCHING)
    assert (ends.stop == Stop.BUDGET).all()
    assert (ends.evaluations > budgets - 2122).all()
    assert (ends.evaluations <= budgets + 60).all()


def test_t_end_max_step_and_visits_on_a_plateau():
    starts = np.tile(beside_a_non_strict_saddle(1, 1e-4), (3, 1))
    task = leg(starts, t_end=[5000.0, 6000.0, 5000.0], watch=True)
    task.max_step[2] = 3.0
    ends = Lanes().integrate(PROBLEM, task, SWITCHING)
    plain = Lanes().integrate(PROBLEM, task, DOP853)
    assert (ends.evaluations[:2] < plain.evaluations[:2] / 4).all()
    assert ends.t.tolist() == [5000.0, 6000.0, 5000.0]
    assert ends.steps[0] < 1000 < 5000 / 3 < ends.steps[2]
    truth = Reference().integrate(PROBLEM, task, Settings(method="LSODA", rtol=1e-12, atol=1e-14)).visits
    for row in range(2):  # DOP853 at the edge of its stability sees thousands of minima, of its own making
        nearest = [v.gradient_norm[v.row == row].min() for v in (truth, ends.visits, plain.visits)]
        assert nearest[1] == pytest.approx(nearest[0], rel=0.1)
        assert nearest[2] > 10 * nearest[0]
        assert np.sum(ends.visits.row == row) < 30
    norms = np.linalg.norm(PROBLEM.gradient(ends.visits.state), axis=1)
    np.testing.assert_allclose(ends.visits.gradient_norm, norms, rtol=1e-6)


def test_a_level_is_met_where_dop853_meets_it():
    starts = beside_a_non_strict_saddle(6, 1e-3)
    ends = Lanes().integrate(PROBLEM, leg(starts, LEVEL), SWITCHING)
    plain = Lanes().integrate(PROBLEM, leg(starts, LEVEL), DOP853)
    assert (ends.stop == Stop.LEVEL).all()
    assert (PROBLEM.loss(ends.state) < LEVEL).all()
    np.testing.assert_allclose(ends.t, plain.t, rtol=1e-3)


def test_what_wants_too_many_stages_goes_to_radau(monkeypatch):
    starts = beside_a_non_strict_saddle(2, 1e-4)
    task = leg(starts, LEVEL, watch=True)
    walked = Lanes().integrate(PROBLEM, task, SWITCHING)
    assert (walked.rejected >= 0).all()
    monkeypatch.setattr(rkc_module, "most_stages", lambda rtol: 20)
    crossed = Lanes().integrate(PROBLEM, task, SWITCHING)
    assert (crossed.stop == Stop.LEVEL).all()
    assert (crossed.rejected == -1).all()
    assert (crossed.evaluations < walked.evaluations).all()
    np.testing.assert_allclose(crossed.t, walked.t, rtol=1e-3)
    monkeypatch.setattr(lanes_engine, "DENSE", 0)  # too large for Radau: shorter steps instead
    made_do = Lanes().integrate(PROBLEM, task, SWITCHING)
    assert (made_do.stop == Stop.LEVEL).all()
    assert (made_do.rejected >= 0).all()
    assert (made_do.steps > walked.steps).all()
    np.testing.assert_allclose(made_do.t, walked.t, rtol=1e-3)
    monkeypatch.undo()
    monkeypatch.setattr(lanes_engine, "DENSE", 0)
    assert everything(Lanes().integrate(PROBLEM, task, SWITCHING)) == everything(walked)


def test_evaluations_grow_far_slower_than_the_time():
    """The plateau of W = 0 and that of S = {1}, from scales 1e-2 to 1e-8: T grows by 10^6."""
    found = {}
    for scale in (1e-2, 1e-4, 1e-6, 1e-8):
        limits = integrate(PROBLEM, gaussian(PROBLEM, 2, scale, seed=1))
        assert (limits.verdict == 0).all(), scale
        found[scale] = float(limits.time.min()), int(limits.evaluations.max())
    walked = Lanes().integrate(PROBLEM, leg(gaussian(PROBLEM, 2, 1e-6, seed=1), LEVEL), SWITCHING)
    assert (walked.rejected >= 0).all()  # T = 2e6 in the lanes, forty times faster than by Radau
    assert found[1e-8][0] > 1e5 * found[1e-2][0]
    assert found[1e-8][0] > 5e3 * found[1e-4][0]
    assert found[1e-8][1] < 2 * found[1e-4][1]
    assert max(evaluations for _, evaluations in found.values()) < 80_000  # DOP853: some 10 T


def test_raw_data_of_unlike_scales_are_not_censored():
    """Wine as measured: columns from 0.1 to 1,000. DOP853 spends 200,000 evaluations on 13 rows of 16."""
    pytest.importorskip("sklearn")
    data = sklearn_data("wine")
    problem = Problem.from_data(data.X, data.Y, hidden=(4,), flow="raw")
    starts = gaussian(problem, 4, scale=0.3)
    assert (integrate(problem, starts, method="DOP853", budget=200_000).reason >= 0).sum() >= 2
    assert (integrate(problem, starts, budget=200_000).verdict == 0).all()
