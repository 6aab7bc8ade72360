"""One suite for every engine: what basins.integrators.base promises, numbered as there."""

import numpy as np
import pytest

from basins import Problem
from basins.integrators.base import Engine, IntegrationRequest, Settings, Stop, at_rest
from basins.integrators.scipy import Reference
from basins.integrators.simd.integrator import Lanes

ENGINES = [
    pytest.param((Reference(), "RK45"), id="reference-RK45"),
    pytest.param((Reference(), "DOP853"), id="reference-DOP853"),
    pytest.param((Lanes(), "DOP853"), id="lanes-DOP853"),
    pytest.param((Lanes(), "DOP853-RKC"), id="lanes-DOP853-RKC"),
]
PROBLEM = Problem.from_spectrum([2.0, 0.5], d_x=3, hidden=(2, 3))
LEVEL = 0.5 * PROBLEM.sigma_min**2 * (1 - 1e-6)


def leg(
    starts, *, t_start=0.0, level=LEVEL, rest_after=np.inf, budget=100_000, t_end=np.inf, max_step=np.inf, watch=False
):
    N = len(starts)

    def column(value, kind=float):
        return np.broadcast_to(np.asarray(value, dtype=kind), (N,)).copy()

    return IntegrationRequest(
        np.array(starts, dtype=float),
        column(t_start),
        column(level),
        column(rest_after),
        column(budget, np.int64),
        column(t_end),
        column(max_step),
        column(watch, bool),
    )


def gaussian(N, scale=0.7, seed=0, problem=PROBLEM):
    return np.random.default_rng(seed).normal(size=(N, problem.n)) * scale


def same(a, b):
    for name in ("state", "t", "stop", "steps", "rejected", "evaluations", "loss_increase"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


@pytest.fixture(params=ENGINES)
def engine(request):
    kind, method = request.param
    return kind, Settings(engine=kind.name, method=method)


def test_1_a_row_knows_no_neighbour(engine):
    kind, settings = engine
    starts = gaussian(9)
    whole = kind.integrate(PROBLEM, leg(starts), settings)
    order = np.array([4, 2, 8, 0, 1])
    some = kind.integrate(PROBLEM, leg(starts[order]), settings)
    for name in ("state", "t", "stop", "steps", "evaluations", "loss_increase"):
        assert getattr(whole, name)[order].tobytes() == getattr(some, name).tobytes(), name
    same(whole, kind.integrate(PROBLEM, leg(starts), settings))


def test_2_level(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(20)), settings)
    assert (ends.stop == Stop.LEVEL).all()
    assert (PROBLEM.loss(ends.state) < LEVEL).all()
    assert (ends.t > 0).all()
    assert (ends.steps > 0).all()


def test_2_a_start_below_its_level_never_moves(engine):
    kind, settings = engine
    starts = gaussian(3)
    ends = kind.integrate(PROBLEM, leg(starts, level=[1e9, LEVEL, 1e9], t_start=2.0), settings)
    assert ends.stop.tolist() == [Stop.LEVEL] * 3
    assert ends.steps[[0, 2]].tolist() == [0, 0]
    assert ends.evaluations[[0, 2]].tolist() == [1, 1]
    assert ends.t[[0, 2]].tolist() == [2.0, 2.0]
    assert ends.state[[0, 2]].tobytes() == starts[[0, 2]].tobytes()
    assert ends.steps[1] > 0


def test_2_the_last_step_ends_at_t_end_exactly(engine):
    kind, settings = engine
    t_end = [0.1, 0.3, 1e-9, 7.7]
    ends = kind.integrate(PROBLEM, leg(gaussian(4), level=-np.inf, t_start=[0, 0.1, 0, 5], t_end=t_end), settings)
    assert ends.t.tolist() == t_end
    assert (ends.stop == Stop.T_END).all()


def test_2_t_end_at_the_start(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(1), level=-np.inf, t_start=1.0, t_end=1.0), settings)
    assert ends.stop.tolist() == [Stop.T_END]
    assert ends.evaluations.tolist() == [1]


def planted(problem, modes, N):
    """Starts whose columns of W_1 and rows of W_{H+1} outside `modes` are zero: they end on I_S (theory.md 6.7)."""
    layers = [w.copy() for w in problem.unpack(gaussian(N, problem=problem))]
    away = [i for i in range(problem.d_y) if i not in modes]
    layers[0][:, :, away] = 0.0
    layers[-1][:, away, :] = 0.0
    return problem.pack(layers)


def test_2_rest(engine):
    kind, settings = engine
    starts = planted(PROBLEM, {0}, 4)
    ends = kind.integrate(PROBLEM, leg(starts, rest_after=[0, 0, 60, 0]), settings)
    assert (ends.stop == Stop.RESTING).all()
    assert (ends.t[[0, 1, 3]] < 60).all()
    assert ends.t[2] >= 60
    for W in ends.state:
        L, gradient = PROBLEM.loss_and_gradient(W)
        assert at_rest(PROBLEM.rest, float(np.linalg.norm(gradient)) * 0.999, float(L), float(np.linalg.norm(W)))
    nothing = np.zeros((1, PROBLEM.n))
    assert kind.integrate(PROBLEM, leg(nothing, rest_after=0.0), settings).stop.tolist() == [Stop.RESTING]


def test_2_budget(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(6), level=-np.inf, budget=[1, 2, 30, 100, 500, 50]), settings)
    assert (ends.stop == Stop.BUDGET).all()
    assert (ends.evaluations >= [1, 2, 30, 100, 500, 50]).all()
    assert ends.steps[0] == 0
    assert (ends.evaluations <= np.array([1, 2, 30, 100, 500, 50]) + 100).all()


def test_2_level_comes_before_t_end_before_budget(engine):
    kind, settings = engine
    W = gaussian(1)
    everything = leg(W, level=1e9, t_start=1.0, t_end=1.0, budget=1, rest_after=0.0)
    assert kind.integrate(PROBLEM, everything, settings).stop.tolist() == [Stop.LEVEL]
    everything = leg(W, level=-np.inf, t_start=1.0, t_end=1.0, budget=1, rest_after=0.0)
    assert kind.integrate(PROBLEM, everything, settings).stop.tolist() == [Stop.T_END]


def test_2_max_step(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(2), level=-np.inf, t_end=1.0, max_step=[0.01, np.inf]), settings)
    assert ends.steps[0] >= 100
    assert ends.steps[1] < 100


def test_3_not_finite_ends_its_row_alone(engine):
    kind, settings = engine
    starts = gaussian(7)
    starts[1, 3], starts[4, 0], starts[5] = np.nan, np.inf, 1e200
    ends = kind.integrate(PROBLEM, leg(starts), settings)
    bad = np.array([1, 4, 5])
    assert (ends.stop[bad] == Stop.NON_FINITE).all()
    assert ends.state[bad].tobytes() == starts[bad].tobytes()
    good = np.array([0, 2, 3, 6])
    assert (ends.stop[good] == Stop.LEVEL).all()
    alone = kind.integrate(PROBLEM, leg(starts[good]), settings)
    assert alone.state.tobytes() == ends.state[good].tobytes()


def test_3_a_step_too_small_for_the_clock(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(2), t_start=[2e14, 0.0], level=-np.inf, t_end=[1e18, 0.1]), settings)
    assert ends.stop.tolist() == [Stop.STEP_UNDERFLOW, Stop.T_END]
    assert ends.t.tolist() == [2e14, 0.1]


def test_3_no_rows(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(0)), settings)
    assert ends.state.shape == (0, PROBLEM.n)
    assert ends.visits.state.shape == (0, PROBLEM.n)


def test_4_counts(engine):
    kind, settings = engine
    ends = kind.integrate(PROBLEM, leg(gaussian(10)), settings)
    attempts = ends.steps + ends.rejected
    stages = 6 if settings.method == "RK45" else 12  # no row here is on a plateau
    assert np.isin(ends.evaluations - stages * attempts, [2, 3]).all()
    assert (ends.loss_increase <= 1e-9).all()


def test_5_visits_are_local_minima_of_the_gradient_norm(engine):
    kind, settings = engine
    starts = gaussian(6, scale=1e-2)
    ends = kind.integrate(PROBLEM, leg(starts, watch=[True, False, True, True, False, True]), settings)
    visits = ends.visits
    assert set(visits.row.tolist()) <= {0, 2, 3, 5}
    assert len(visits.row) >= 4
    assert (np.diff(visits.row) >= 0).all()
    for r in set(visits.row.tolist()):
        assert (np.diff(visits.t[visits.row == r]) > 0).all()
    norms = np.linalg.norm(PROBLEM.gradient(visits.state), axis=1)
    np.testing.assert_allclose(visits.gradient_norm, norms, rtol=1e-9)


def test_a_planted_start_stays_planted_bitwise(engine):
    """theory.md 6.7: exact zeros in the S^c columns of W_1 and rows of W_{H+1} stay, and the limit is I_S."""
    kind, settings = engine
    problem = Problem.from_spectrum([2.0, 1.0, 0.5], d_x=4, hidden=(4, 3, 4))
    starts = planted(problem, {1}, 5)
    ends = kind.integrate(problem, leg(starts, level=-np.inf, t_end=40.0), settings)
    first, *_, last = problem.unpack(ends.state)
    assert not first[:, :, [0, 2]].tobytes().strip(b"\0")
    assert not last[:, [0, 2], :].tobytes().strip(b"\0")
    assert (problem.loss(ends.state) > 0.5 * (4 + 0.25) - 1e-9).all()


def test_raw_flow(engine):
    kind, settings = engine
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(30, 4)) / 5, rng.normal(size=(30, 2)) + 1
    problem = Problem.from_data(X, Y, hidden=(3,), flow="raw")
    ends = kind.integrate(problem, leg(gaussian(3, problem=problem), level=-np.inf, t_end=2.0), settings)
    truth = Reference().integrate(
        problem,
        leg(gaussian(3, problem=problem), level=-np.inf, t_end=2.0),
        Settings(method="DOP853", rtol=1e-12, atol=1e-13),
    )
    np.testing.assert_allclose(ends.state, truth.state, atol=1e-6)


def test_engines_are_engines():
    engines: list[Engine] = [Reference(), Lanes()]
    assert [engine.name for engine in engines] == ["reference", "lanes"]
