"""Where a training ended: constructed critical points, exact, rounded to float32, moved; and trainings in float32."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import basins
from basins import Problem
from basins.endpoint import Endpoint
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical import Kind, construct

PROBLEM = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(3, 3))
MOVE = np.random.default_rng(0).normal(size=PROBLEM.n)
MOVE /= np.linalg.norm(MOVE)


@pytest.mark.parametrize("modes", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("rounded", [False, True])
def test_at_a_critical_point(modes: tuple[int, ...], rounded: bool) -> None:
    """Its stratum, distance and kind; of float32 weights the distance is rounding all the same."""
    W = construct(PROBLEM, modes, "minimum" if len(modes) == 2 else "strict", seed=1)
    found = basins.where(PROBLEM, W.astype(np.float32).astype(np.float64) if rounded else W)
    assert found.nearest.code == sum(1 << mode for mode in modes)
    assert found.kind is (Kind.MINIMUM if len(modes) == 2 else Kind.STRICT)
    assert found.precision == ("float32" if rounded else "float64")
    assert found.at_critical_point
    assert found.at_rest
    size = np.linalg.norm(W.astype(np.float32) - W) if rounded else 1e-14
    assert found.distance <= size
    assert found.loss == pytest.approx(found.nearest.value, abs=1e-6 if rounded else 1e-14)
    said = "a global minimum" if len(modes) == 2 else "a strict saddle of I("
    assert said in found.sentence
    assert f"to {found.precision} rounding" in found.sentence


def test_float32_is_not_judged_by_the_rounding_of_float64() -> None:
    W = construct(PROBLEM, (0,), "strict", seed=1).astype(np.float32)
    known = basins.where(PROBLEM, W)
    strict = basins.where(PROBLEM, W.astype(np.float64), precision="float64")
    assert known.at_critical_point
    assert known.at_rest
    assert not strict.at_critical_point
    assert not strict.at_rest
    assert known.distance == strict.distance
    assert "Near a strict saddle" in strict.sentence


PRECISIONS: dict[str, tuple[Any, str]] = {
    "doubles": (MOVE, "float64"),
    "a list of doubles": (MOVE.tolist(), "float64"),
    "floats": (MOVE.astype(np.float32), "float32"),
    "floats as doubles": (MOVE.astype(np.float32).astype(np.float64), "float32"),
    "floats in a list": (MOVE.astype(np.float32).tolist(), "float32"),
    "halves": (MOVE.astype(np.float16), "float16"),
    "written by hand": (np.where(MOVE > 0, 0.5, 0.25), "float64"),
    "zero": (np.zeros(PROBLEM.n), "float64"),
    "whole numbers": (np.ones(PROBLEM.n, dtype=np.int64), "float64"),
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_precision_is_that_of_the_numbers(name: str) -> None:
    W, precision = PRECISIONS[name]
    assert basins.where(PROBLEM, W, prove=False).precision == precision
    assert basins.where(PROBLEM, W, prove=False, precision="float32").precision == "float32"


@pytest.mark.parametrize("far", [1e-5, 1e-3, 1e-2])
def test_near_a_critical_point_the_distance_is_measured(far: float) -> None:
    W = construct(PROBLEM, (0,), "strict", seed=1)
    found = basins.where(PROBLEM, W + far * MOVE)
    assert found.kind is Kind.STRICT
    assert not found.at_critical_point
    assert 0.05 * far < found.distance <= 1.001 * far  # the set has dimensions along which a move is none
    assert found.sentence.startswith("Near a strict saddle of I(3), S = {0}, with ")
    assert found.size == pytest.approx(np.linalg.norm(W), rel=0.02)


def test_far_from_every_critical_point() -> None:
    found = basins.where(PROBLEM, 30.0 * MOVE)
    assert np.isnan(found.distance)
    assert found.kind is Kind.NOT_CRITICAL
    assert found.sentence.startswith("At no critical point: nearest is ")
    assert found.to_dict()["distance"] is None


# --- where the flow goes ----------------------------------------------------------------------------------------------


def test_certified_at_a_minimum() -> None:
    W = construct(PROBLEM, (0, 1), "minimum", seed=1).astype(np.float32)
    found = basins.where(PROBLEM, W)
    assert found.goes == "certified"
    assert found.proof is None
    assert found.certified.by_level[0]
    assert found.whatever_rounding
    assert basins.prove(PROBLEM, W, 2.0**-24 * np.linalg.norm(W)).proved[0]
    assert "certified to go to a global minimum, by the loss level" in found.sentence
    assert "the same is proved of every state within float32 rounding" in found.sentence


def test_proved_beside_a_saddle() -> None:
    W = construct(PROBLEM, (0,), "strict", seed=1).astype(np.float32)
    found = basins.where(PROBLEM, W)
    assert found.goes == "proved"
    assert found.proof.proved
    assert found.proof.t > 1
    assert not found.whatever_rounding  # the saddle's stable manifold passes within rounding
    assert "is proved to go to a global minimum" in found.sentence
    assert "every state" not in found.sentence
    without = basins.where(PROBLEM, W, prove=False)
    assert without.goes == "computed"
    assert without.proof is None
    assert without.limit.verdict == basins.Verdict.minimum
    assert "that is not proved" in without.sentence


def test_rounding_counts_where_the_quick_proof_of_the_weights_as_given_holds() -> None:
    W = construct(PROBLEM, (1,), "strict", seed=1).astype(np.float32)
    assert basins.prove(PROBLEM, W, tiers="BC").proved[0]
    assert not basins.where(PROBLEM, W).whatever_rounding


def test_a_saddle_by_zeros_that_the_flow_keeps() -> None:
    found = basins.where(PROBLEM, np.zeros(PROBLEM.n))
    assert found.kind is Kind.NONSTRICT
    assert found.goes == "saddle"
    assert not found.whatever_rounding
    assert "ends on a saddle, by the certificate 'invariant'" in found.sentence


def test_a_state_of_which_nothing_is_known() -> None:
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,))
    found = basins.where(problem, [0.7, -0.7])  # on the stable manifold of 0: no double shows that it leaves
    assert found.goes == "unknown"
    assert not found.proof.proved
    assert "is not known: settled" in found.sentence
    assert not found.whatever_rounding


# --- trainings --------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), RNG.normal(size=(60, 2)).astype(np.float32)


def trained(steps: int, layers: list[Any], rate: float = 0.05) -> list[Any]:
    """Gradient descent in float32 on the mean squared error."""
    layers = [W_j.astype(np.float32) for W_j in layers]
    for _ in range(steps):
        outputs = [X]
        for W_j in layers:
            outputs.append(outputs[-1] @ W_j.T)
        slope = (outputs[-1] - Y) * np.float32(2 / Y.size)
        for k in range(len(layers) - 1, -1, -1):
            down = slope.T @ outputs[k]
            slope = slope @ layers[k]
            layers[k] = (layers[k] - np.float32(rate) * down).astype(np.float32)
    return layers


def read(layers: list[Any], **given: Any) -> tuple[Problem, Any]:
    return basins.from_torch({f"{k}.weight": W_j for k, W_j in enumerate(layers)}, X, Y, **given)


def start(scale: float = 0.7) -> list[Any]:
    rng = np.random.default_rng(1)
    return [scale * rng.normal(size=shape) for shape in ((3, 3), (3, 3), (2, 3))]


def test_a_training_that_converged() -> None:
    found = basins.where(*read(trained(20_000, start())))
    assert found.precision == "float32"
    assert found.kind is Kind.MINIMUM
    assert found.at_critical_point
    assert found.at_rest
    assert found.goes == "certified"
    assert found.sentence.startswith("At a global minimum, to float32 rounding (")


def test_a_training_that_was_stopped_on_its_way() -> None:
    found = basins.where(*read(trained(300, start())))
    assert not found.at_critical_point
    assert not found.at_rest
    assert found.goes in ("proved", "certified")


def test_a_training_on_a_plateau_says_when_it_leaves() -> None:
    """From small weights: beside W = 0, and the flow's time is learning rate times steps."""
    layers = trained(200, start(0.03))
    problem, W = read(layers)
    found = basins.where(problem, W)
    assert found.nearest.name == "{}"
    assert found.goes == "proved"
    assert found.limit.time > 20
    steps = int(1.5 * found.limit.time / 0.05)
    later = trained(steps, layers)
    _, after = read(later)
    assert problem.loss(after) < 0.5 * problem.sigma_min**2 < problem.loss(W)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not a dependency")
def test_a_training_of_torch() -> None:
    import torch  # type: ignore[import-not-found]

    torch.manual_seed(1)
    layers = [torch.nn.Linear(a, b, bias=False) for a, b in ((3, 3), (3, 3), (3, 2))]
    module = torch.nn.Sequential(*layers)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    inputs, targets = torch.tensor(X), torch.tensor(Y)
    for _ in range(5000):
        optimiser.zero_grad()
        loss = torch.nn.MSELoss()(module(inputs), targets)
        loss.backward()
        optimiser.step()
    problem, W = basins.from_torch(module, inputs, targets)
    assert problem.least_squares_loss is not None
    assert loss.item() == pytest.approx(problem.loss(W) + problem.least_squares_loss, rel=1e-5)
    found = basins.where(problem, W)
    assert found.precision == "float32"
    assert found.goes == "certified"
    assert found.sentence.startswith("At a global minimum, to float32 rounding (")


def test_other_coordinates_are_told_their_precision() -> None:
    problem, W = read(trained(20_000, start()), flow="reduced")
    assert basins.where(problem, W).precision == "float64"
    found = basins.where(problem, W, precision="float32")
    assert found.at_critical_point
    assert found.kind is Kind.MINIMUM


# --- what is refused --------------------------------------------------------------------------------------------------


def test_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^where: W: a batch of shape \(2, 24\); give one finite state, \(24,\)"):
        basins.where(PROBLEM, np.ones((2, PROBLEM.n)))
    with pytest.raises(ArgumentError, match=r"^where: W: not one finite state"):
        basins.where(PROBLEM, np.full(PROBLEM.n, np.nan))
    with pytest.raises(ArgumentError, match=r"^W: a state of shape \(3,\)"):
        basins.where(PROBLEM, [1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match=r"^W: not an array of numbers"):
        basins.where(PROBLEM, "weights.pt")
    with pytest.raises(ArgumentError, match=r"^problem: ndarray is no problem"):
        basins.where(np.ones(3), PROBLEM)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^precision: unknown precision 'float23'; did you mean 'float32'\?"):
        basins.where(PROBLEM, MOVE, precision="float23")
    with pytest.raises(ArgumentError, match=r"^precision: unknown precision 32"):
        basins.where(PROBLEM, MOVE, precision=32)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^prove: 'no' is not a boolean"):
        basins.where(PROBLEM, MOVE, prove="no")  # type: ignore[arg-type]


def test_large_weights() -> None:
    found = basins.where(PROBLEM, 1e5 * MOVE)
    assert np.isnan(found.distance)
    assert not found.at_rest
    assert isinstance(repr(found), str)


def test_weights_whose_loss_is_no_number() -> None:
    with pytest.raises(ArgumentError, match=r"^where: W: weights as large as .*e\+119: the loss there is"):
        basins.where(PROBLEM, 1e120 * MOVE)


def test_words_and_numbers() -> None:
    found = basins.where(PROBLEM, construct(PROBLEM, (1,), "strict", seed=1))
    assert isinstance(found, Endpoint)
    assert repr(found) == f"Endpoint: {found.sentence}"
    numbers = found.to_dict()
    assert numbers["nearest"] == {"index": 2, "name": "{1}", "loss": 2.0}
    assert numbers["negative_eigenvalues"] == found.point.inertia.negative  # type: ignore[union-attr]
    assert numbers["kind"] == "strict saddle"
