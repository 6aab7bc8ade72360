"""The contract of a landscape (basins/landscapes/base.py), for the package's own and for those outside it."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from double_well import DoubleWell
from many_wells import ManyWells

from basins.integrators.simd.kernel import compiled
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.step_code import scratch_of
from basins.landscapes.base import CODE_BITS, NONE, Decided, Landscape, Verdict
from basins.landscapes.deep_linear.problem import Problem

Array = np.ndarray


def raw() -> Problem:
    rng = np.random.default_rng(3)
    return Problem.from_data(rng.normal(size=(30, 4)), rng.normal(size=(30, 2)), hidden=(3,), flow="raw")


LANDSCAPES: dict[str, Callable[[], Any]] = {
    "2-2-2-2": lambda: Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2)),
    "5-4-3": lambda: Problem.from_spectrum([3.0, 2.0, 1.0], d_x=5, hidden=(4,)),
    "raw 4-3-2": raw,
    "double well": lambda: DoubleWell(3),
    "double well, n = 1": lambda: DoubleWell(1),
    "many wells": lambda: ManyWells(3),
}


@pytest.fixture(params=LANDSCAPES)
def landscape(request: pytest.FixtureRequest) -> Landscape:
    made: Landscape = LANDSCAPES[request.param]()
    return made


def states(landscape: Landscape, N: int = 6, scale: float = 0.8, seed: int = 5) -> Array:
    return scale * np.random.default_rng(seed).normal(size=(N, landscape.n))


def generated(landscape: Landscape, W: Array, lanes: int = 4) -> tuple[Array, Array]:
    """Loss and slope of states (lanes, n) by the generated code."""
    code = landscape.gradient_code()
    assert code is not None
    kernel = compiled(code, lanes)
    sizes = {"old": code.n, "slope": code.n, "scratch": scratch_of(code), "out": 6}
    memory = {name: aligned(size * lanes).reshape(size, lanes) for name, size in sizes.items()}
    memory["old"][:] = W.T
    memory["shared"] = np.array([1e-10, 1e-8, *landscape.parameters])
    names = ("old", "slope", "scratch", "shared", "out")
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(names))(kernel.first)
    call(*(memory[name].ctypes.data for name in names))
    return memory["out"][0].copy(), memory["slope"].T.copy()


def test_shapes_of_a_state(landscape: Landscape) -> None:
    assert sum(rows * columns for rows, columns in landscape.layers) == landscape.n
    code = landscape.gradient_code()
    if code is None:
        return
    assert (code.n, code.parameters) == (landscape.n, len(landscape.parameters))
    assert hash(code) == hash(landscape.gradient_code())
    assert landscape.gradient_code() == code


def test_gradient_is_the_derivative_of_the_loss(landscape: Landscape) -> None:
    W, step = states(landscape), 1e-6
    loss, gradient = landscape.loss_and_gradient(W)
    assert (loss >= 0).all()
    for i in range(landscape.n):
        e = np.zeros(landscape.n)
        e[i] = step
        up, down = (landscape.loss_and_gradient(W + sign * e)[0] for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), gradient[:, i], rtol=1e-6, atol=1e-7)


def test_batch_equals_single_states(landscape: Landscape) -> None:
    W = states(landscape)
    loss, gradient = landscape.loss_and_gradient(W)
    for k, one in enumerate(W):
        L, g = landscape.loss_and_gradient(one)
        assert np.shape(L) == ()
        np.testing.assert_allclose(L, loss[k], rtol=1e-14)
        np.testing.assert_allclose(g, gradient[k], rtol=1e-12, atol=1e-14)


def test_hessian_is_the_derivative_of_the_gradient(landscape: Landscape) -> None:
    W, step = states(landscape, 2), 1e-6
    hessian = landscape.hessian(W)
    assert hessian.shape == (2, landscape.n, landscape.n)
    np.testing.assert_allclose(hessian, hessian.transpose(0, 2, 1))
    for i in range(landscape.n):
        e = np.zeros(landscape.n)
        e[i] = step
        up, down = (landscape.loss_and_gradient(W + sign * e)[1] for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), hessian[:, i], rtol=1e-5, atol=1e-6)


def test_generated_code_and_evaluation_state_the_same_field(landscape: Landscape) -> None:
    W = states(landscape, 4)
    loss, gradient = landscape.loss_and_gradient(W)
    there = landscape.critical.evaluate(W)
    if landscape.gradient_code() is not None:
        by_code, slope = generated(landscape, W)
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(by_code, loss, rtol=1e-13)
        np.testing.assert_allclose(slope, -gradient, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(there.loss, loss, rtol=1e-13)
    np.testing.assert_allclose(there.gradient_norm, np.linalg.norm(gradient, axis=1), rtol=1e-12)
    assert landscape.critical.loss(W).tobytes() == there.loss.tobytes()
    assert (there.loss_at_most >= there.loss).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_field_on_random_shapes(seed: int) -> None:
    """NumPy, generated code and evaluation, for any widths, both flows."""
    rng = np.random.default_rng(seed)
    d_y = int(rng.integers(1, 4))
    d_x = d_y + int(rng.integers(0, 4))
    hidden = tuple(int(d_y + rng.integers(0, 4)) for _ in range(rng.integers(1, 4)))
    X, Y = rng.normal(size=(40, d_x)), rng.normal(size=(40, d_y))
    problem = Problem.from_data(X, Y, hidden=hidden, flow="raw" if seed % 2 else "reduced")
    test_generated_code_and_evaluation_state_the_same_field(problem)


def test_rest_scale_is_that_of_a_typical_gradient(landscape: Landscape) -> None:
    """Within two orders of magnitude of it at random states: at REST = 1e-6 of it nothing typical is at rest."""
    W = states(landscape, 50)
    loss, gradient = landscape.loss_and_gradient(W)
    norm = np.linalg.norm(W, axis=1)
    rest = landscape.rest
    size = np.sqrt(2 * loss) * rest.scale * (norm / np.sqrt(rest.degree + 1)) ** rest.degree
    assert (np.linalg.norm(gradient, axis=1) > 1e-3 * size).all()


def test_critical_sets_agree_with_the_loss(landscape: Landscape) -> None:
    critical = landscape.critical
    listed = critical.listed()
    assert listed is not None
    assert len(listed) == critical.count()
    assert [one.value for one in listed] == sorted((one.value for one in listed), reverse=True)
    assert {one.code for one in listed} == {critical.describe(one.code).code for one in listed}
    minima = [one for one in listed if one.kind == "global minimum"]
    assert minima
    if critical.global_minimum is not None:
        assert [one.code for one in minima] == [critical.global_minimum]
    assert set(critical.vocabulary.verdicts[:3]) == {verdict.name for verdict in Verdict}
    assert critical.typical_size > 0
    assert max(one.code for one in listed).bit_length() <= critical.code_bits <= CODE_BITS


def test_states_below_the_level_are_decided_and_others_are_not(landscape: Landscape) -> None:
    critical, W = landscape.critical, states(landscape, 200, scale=1.1)
    delta = 1e-6
    there = critical.evaluate(W)
    decided = critical.decide(W, Decided.nothing(len(W)), W, there, delta)
    below = there.loss < critical.levels(W, delta)
    assert (decided.verdict[below] == Verdict.minimum).all()
    saddles = [one.value for one in critical.listed() or () if one.kind != "global minimum"]
    above = there.loss > min(saddles)
    assert above.any()
    assert (decided.verdict[above] == NONE).all()


def test_numbers_survive_json(landscape: Landscape) -> None:
    again = type(landscape).from_dict(json.loads(json.dumps(landscape.to_dict())))  # type: ignore[attr-defined]
    assert again.digest == landscape.digest
    W = states(landscape)
    assert again.loss_and_gradient(W)[1].tobytes() == landscape.loss_and_gradient(W)[1].tobytes()
    assert json.dumps(landscape.case_columns())


def test_drift_is_zero_where_nothing_moves(landscape: Landscape) -> None:
    W = states(landscape)
    found = landscape.critical.drift(W, W, np.zeros(len(W)))
    assert np.isnan(found).all() or (found == 0).all()
