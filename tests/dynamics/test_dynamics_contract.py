"""The contract of a dynamics (basins/dynamics/base.py), held by the gradient flow and by one outside the package."""

from __future__ import annotations

import json

import numpy as np
import pytest
from euler import Euler

from basins import Problem
from basins.classification.classify_batch import integrate_batch
from basins.dynamics.base import STEP, Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.errors import ArgumentError
from basins.integrators import engine_of
from basins.integrators.base import IntegrationRequest, IntegrationResult, Settings, Stop
from basins.landscapes.base import Verdict

PROBLEM = Problem.from_spectrum([2.0, 0.5], d_x=3, hidden=(2, 3))
SQUARE = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
CRITICAL_RATE = 2 / (3 * 2.0 ** (2 - 2 / 3))
"""eta_c = 2 / (N sigma_1^(2 - 2/N)) of SQUARE: above it gradient descent converges to no minimum, from almost every
start."""
LEVEL = 0.5 * PROBLEM.sigma_min**2
DISCRETE = [pytest.param(Euler(0.05), id="euler")]
ALL = [pytest.param(FLOW, id="flow"), *DISCRETE]
ENGINES = ["lanes", "reference"]


def gaussian(N: int, scale: float = 0.7, seed: int = 0, problem: Problem = PROBLEM) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, problem.n)) * scale


def leg(starts: np.ndarray, **given: object) -> IntegrationRequest:
    N = len(starts)
    values = {
        "t_start": 0.0, "level": -np.inf, "rest_after": np.inf, "budget": 100_000, "t_end": np.inf,
        "max_step": np.inf, "watch": False,
    } | given  # fmt: skip
    kinds = {"budget": np.int64, "watch": bool}
    columns = {
        name: np.broadcast_to(np.asarray(value, kinds.get(name, float)), (N,)).copy() for name, value in values.items()
    }
    return IntegrationRequest(starts=np.array(starts, dtype=float), **columns)


def moved(
    dynamics: Dynamics, asked: IntegrationRequest, engine: str = "lanes", problem: Problem = PROBLEM
) -> IntegrationResult:
    return engine_of(engine).iterate(problem, dynamics, asked, Settings(engine=engine, method=STEP))


@pytest.mark.parametrize("dynamics", ALL)
def test_state_begins_with_the_weights(dynamics: Dynamics) -> None:
    W = gaussian(3)
    state = dynamics.begin(W)
    assert state.shape == (3, dynamics.state_size(PROBLEM.n))
    assert np.array_equal(state[:, : PROBLEM.n], W)
    assert dynamics.text
    assert dynamics.time


@pytest.mark.parametrize("dynamics", DISCRETE)
def test_parameters_survive_json(dynamics: Dynamics) -> None:
    again = type(dynamics).from_table(json.loads(json.dumps(dynamics.to_dict())))  # type: ignore[attr-defined]
    assert again == dynamics


@pytest.mark.parametrize("dynamics", DISCRETE)
def test_one_state_and_a_batch_step_alike(dynamics: Dynamics) -> None:
    state = dynamics.begin(gaussian(4))
    assert np.array_equal(dynamics.step(PROBLEM, state)[2], dynamics.step(PROBLEM, state[2]))


@pytest.mark.parametrize("dynamics", DISCRETE)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_repeat_the_numpy_step(dynamics: Dynamics, engine: str) -> None:
    """40 steps from 9 starts, for states that fill no group of lanes; to rounding."""
    starts = dynamics.begin(gaussian(9))
    expected = starts
    for _ in range(40):
        expected = dynamics.step(PROBLEM, expected)
    ends = moved(dynamics, leg(starts, t_end=40.0), engine)
    np.testing.assert_allclose(ends.state, expected, rtol=0, atol=1e-13)
    assert (ends.stop == Stop.T_END).all()
    assert ends.t.tolist() == [40.0] * 9
    assert ends.steps.tolist() == [40] * 9
    assert ends.evaluations.tolist() == [41] * 9
    assert ends.rejected.tolist() == [0] * 9


@pytest.mark.parametrize("dynamics", DISCRETE)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_does_not_depend_on_its_neighbours(dynamics: Dynamics, engine: str) -> None:
    starts = dynamics.begin(gaussian(11))
    order = np.array([4, 2, 8, 0, 1, 10])
    full = moved(dynamics, leg(starts, level=LEVEL), engine)
    some = moved(dynamics, leg(starts[order], level=LEVEL), engine)
    for name in ("state", "t", "stop", "steps", "evaluations", "loss_increase"):
        assert getattr(full, name)[order].tobytes() == getattr(some, name).tobytes(), name


@pytest.mark.parametrize("dynamics", DISCRETE)
def test_bytes_do_not_depend_on_the_number_of_lanes(dynamics: Dynamics) -> None:
    from basins.integrators.simd.integrator import Lanes

    asked = leg(dynamics.begin(gaussian(10)), level=LEVEL, watch=True)
    settings = Settings(method=STEP)
    found = [Lanes(lanes).iterate(PROBLEM, dynamics, asked, settings) for lanes in (1, 2, 4)]
    assert len(found[0].visits.t)
    for one in found[1:]:
        assert one.state.tobytes() == found[0].state.tobytes()
        assert one.visits.state.tobytes() == found[0].visits.state.tobytes()


@pytest.mark.parametrize("dynamics", DISCRETE)
@pytest.mark.parametrize("engine", ENGINES)
def test_stops_in_the_order_of_the_contract(dynamics: Dynamics, engine: str) -> None:
    """A start below its level never moves; a budget counts evaluations; a state that overflows is NON_FINITE."""
    starts = dynamics.begin(np.vstack([gaussian(3), np.full((1, PROBLEM.n), 1e200)]))
    ends = moved(dynamics, leg(starts, level=[1e9, LEVEL, -np.inf, -np.inf], budget=7), engine)
    assert ends.stop.tolist() == [Stop.LEVEL, Stop.BUDGET, Stop.BUDGET, Stop.NON_FINITE]
    assert ends.steps.tolist()[:3] == [0, 6, 6]
    assert ends.state[0].tobytes() == starts[0].tobytes()
    rested = moved(dynamics, leg(dynamics.begin(np.zeros((1, PROBLEM.n))), rest_after=0.0), engine)
    assert rested.stop.tolist() == [Stop.RESTING]


@pytest.mark.parametrize("dynamics", DISCRETE)
def test_visits_are_local_minima_of_the_gradient_norm(dynamics: Dynamics) -> None:
    starts = dynamics.begin(gaussian(6, scale=0.2, seed=4))
    found = [moved(dynamics, leg(starts, level=1e-3, watch=True), engine).visits for engine in ENGINES]
    assert len(found[0].t)
    assert np.array_equal(found[0].row, found[1].row)
    assert np.array_equal(found[0].t, found[1].t)
    np.testing.assert_allclose(found[0].gradient_norm, found[1].gradient_norm, rtol=1e-9)


# --- what is proved ---------------------------------------------------------------------------------------------------


def limits_of(rate: float, starts: np.ndarray, problem: Problem = SQUARE, budget: int = 20_000, compress: bool = True):
    settings = Settings(method=STEP, budget=budget, compress=compress)
    return integrate_batch(problem, starts, settings, np.zeros(len(starts), dtype=bool), False, Euler(rate))


def test_level_certifies_no_step_that_is_too_long() -> None:
    """At 1.2 eta_c every start falls below the level and stays on a cycle (theory2.md, B0): nothing is certified."""
    starts = gaussian(100, 0.5, problem=SQUARE)
    found = limits_of(1.2 * CRITICAL_RATE, starts)
    assert (found.verdict == Verdict.censored).all()
    below = moved(Euler(1.2 * CRITICAL_RATE), leg(starts, level=0.5), problem=SQUARE)
    assert np.count_nonzero(below.stop == Stop.LEVEL) >= 99


@pytest.mark.parametrize(("share", "least"), [(0.03, 1.0), (0.1, 1.0), (0.3, 1.0), (0.6, 0.99), (0.9, 0.7)])
def test_certified_rows_converge_and_their_share_is_high(share: float, least: float) -> None:
    """Each certified state goes on to L < 1e-20 and its distance stays within the ball that was proved."""
    found = limits_of(share * CRITICAL_RATE, gaussian(300, 0.5, problem=SQUARE))
    certified = found.verdict == Verdict.minimum
    assert certified.mean() >= least
    assert set(found.certificate[certified]) == {5}
    assert (found.margin[certified] > 0).all()
    further = moved(Euler(share * CRITICAL_RATE), leg(found.state[certified], level=1e-20), problem=SQUARE)
    assert (further.stop == Stop.LEVEL).all()
    assert (further.loss_increase <= 1e-15).all(), "the loss falls at each step"


def test_planted_start_is_a_saddle_by_its_zeros() -> None:
    starts = gaussian(20, 0.5, problem=SQUARE)
    layers = [layer.copy() for layer in SQUARE.unpack(starts)]
    layers[0][:, :, 1] = 0.0
    layers[-1][:, 1, :] = 0.0
    found = limits_of(0.2 * CRITICAL_RATE, SQUARE.pack(layers))
    assert (found.verdict == Verdict.saddle).all()
    assert set(found.code.tolist()) == {1}
    assert set(found.certificate.tolist()) == {3}
    stays = limits_of(0.2 * CRITICAL_RATE, np.zeros((1, SQUARE.n)))
    assert (stays.verdict == Verdict.saddle).all()
    assert stays.code.tolist() == [0]


def test_compressed_states_take_the_same_steps() -> None:
    """Gradient descent commutes with orthogonal changes of the hidden layers, so a compressed start gives its path."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=6, hidden=(24,))
    assert problem.reduce() is not None
    starts = gaussian(40, 0.2, problem=problem)
    small, full = (limits_of(0.05, starts, problem, compress=compress) for compress in (True, False))
    assert (small.verdict == full.verdict).all()
    assert (small.time == full.time).all()
    np.testing.assert_allclose(small.loss, full.loss, rtol=1e-9)
    np.testing.assert_allclose(small.state, full.state, atol=1e-10)


def test_the_raw_flow_has_its_certificate_too() -> None:
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(30, 3)) / np.sqrt(30), rng.normal(size=(30, 2)) / np.sqrt(30)
    problem = Problem.from_data(X, Y, hidden=(2,), flow="raw")
    found = limits_of(0.2, gaussian(40, 0.7, problem=problem), problem, budget=200_000)
    assert (found.verdict == Verdict.minimum).mean() > 0.9
    certified = found.verdict == Verdict.minimum
    further = moved(Euler(0.2), leg(found.state[certified], level=1e-18, budget=10**6), problem=problem)
    assert (further.stop == Stop.LEVEL).all()


@pytest.mark.parametrize("wrong", [{"rtol": 1e-6}, {"atol": 1e-6}, {"t_end": 2.5}, {"at_start": True}])
def test_settings_without_a_meaning_are_refused(wrong: dict[str, object]) -> None:
    import basins

    (name,) = wrong
    with pytest.raises(ArgumentError, match=name):
        basins.integrate(SQUARE, gaussian(1, problem=SQUARE), dynamics=Euler(0.1), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no method 'DOP853'"):
        basins.integrate(SQUARE, gaussian(1, problem=SQUARE), dynamics=Euler(0.1), method="DOP853")


def test_integrate_takes_a_dynamics() -> None:
    import basins

    limits = basins.integrate(SQUARE, gaussian(50, 0.5, problem=SQUARE), dynamics=Euler(0.1))
    assert (limits.verdict == Verdict.minimum).all()
    assert (limits.time == np.round(limits.time)).all()
    assert np.isnan(limits.drift).all()
