"""Compression commutes with the flow, keeps all that is recorded, and can be inverted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from basins import laws
from basins.classification.classify_batch import integrate, integrate_batch
from basins.integrators.base import Settings
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.compression import Compression, compressed_widths, compression
from basins.landscapes.deep_linear.critical_sets import VERDICTS, Certificate
from basins.landscapes.deep_linear.problem import Problem

Array = np.ndarray
U = 2.0**-53

SHAPES = [
    ((9, 2, 2), (4, 2, 2)),  # the input
    ((3, 9, 2), (3, 5, 2)),  # the hidden layer of H = 1
    ((4, 3, 12, 3, 2), (4, 3, 6, 3, 2)),  # one in the middle
    ((12, 3, 8, 3, 11, 2), (5, 3, 6, 3, 5, 2)),  # the input and every other hidden layer
    ((20, 3, 3, 3), (6, 3, 3, 3)),
]
RAW = [((3, 9, 2), (3, 5, 2)), ((2, 7, 2, 6, 2), (2, 4, 2, 4, 2)), ((9, 2, 13, 2), (9, 2, 4, 2))]


def problem_of(widths: tuple[int, ...], flow: str = "reduced") -> Problem:
    d_x, *hidden, d_y = widths
    if flow == "raw":
        rng = np.random.default_rng(7)
        X, Y = rng.standard_normal((40, d_x)), rng.standard_normal((40, d_y))
        return Problem.from_data(X / 6, Y, hidden=hidden, flow="raw")
    return Problem.from_spectrum(np.array([2.0, 1.1, 0.7])[:d_y], d_x=d_x, hidden=hidden)


CASES = [(widths, small, "reduced") for widths, small in SHAPES] + [(widths, small, "raw") for widths, small in RAW]


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple[Compression, Array]:
    """A compression and generic states (6, n)."""
    widths, _, flow = request.param
    problem = problem_of(widths, flow)
    return Compression.of(problem), 0.5 * rng.standard_normal((6, problem.n))


def planted(problem: Problem, unfitted: tuple[int, ...], count: int, rng: np.random.Generator) -> Array:
    W = 0.5 * rng.standard_normal((count, problem.n))
    layers = problem.unpack(W)
    for i in unfitted:
        layers[0][..., i] = 0.0
        layers[-1][..., i, :] = 0.0
    return W


# --- what shrinks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("widths", "small", "flow"), CASES, ids=str)
def test_compressed_widths(widths: tuple[int, ...], small: tuple[int, ...], flow: str) -> None:
    assert compressed_widths(problem_of(widths, flow)) == small


def test_no_two_neighbours_shrink_and_one_pass_is_enough(rng: np.random.Generator) -> None:
    for _ in range(300):
        d_y = int(rng.integers(1, 4))
        hidden = rng.integers(d_y, 20, size=rng.integers(1, 5)).tolist()
        problem = problem_of((int(rng.integers(d_y, 30)), *hidden, d_y))
        found = Compression.of(problem)
        shrinks = [q < d for d, q in zip(problem.widths, found.problem.widths, strict=True)]
        assert not any(one and two for one, two in pairwise(shrinks))
        assert compressed_widths(found.problem) == found.problem.widths


@pytest.mark.parametrize(
    ("widths", "pays"),
    [
        ((784, 10, 10), True),
        ((10, 512, 10), True),
        ((64, 12, 12, 10), True),
        ((784, 512, 10), False),  # 1.49 times smaller
        ((2000, 1200, 10), False),  # 1.64 times, but frames of 1200 lines cost 300 evaluations
        ((5, 4, 4, 3), False),  # nothing shrinks
        ((4, 9, 4), False),  # 72 numbers to 64
    ],
)
def test_compression_is_used_where_it_pays(widths: tuple[int, ...], pays: bool) -> None:
    problem = Problem.from_spectrum(1.1 ** -np.arange(widths[-1]), d_x=widths[0], hidden=widths[1:-1])
    assert (compression(problem) is not None) == pays


# --- it is exact -----------------------------------------------------------------------------------------------------


def test_compression_commutes_with_the_flow(case: tuple[Compression, Array], flow_to: Callable[..., Array]) -> None:
    """flow(compress(W)) = compress(flow(W)) in the frame of the start, so expand(flow(compress(W))) = flow(W)."""
    small, W = case[0], case[1][:2]
    t, tight = 1.0, {"rtol": 3e-14, "atol": 1e-15}
    flowed = flow_to(small.original, W, t, **tight)
    assert np.abs(flowed - W).max() > 0.1
    found = small.expand(flow_to(small.problem, small.compress(W), t, **tight), W)
    np.testing.assert_allclose(found, flowed, rtol=0, atol=1e-11)


def test_the_gradient_is_compressed_to_the_gradient(case: tuple[Compression, Array]) -> None:
    """The field itself, without an integrator between."""
    small, W = case
    compressed = small.compress(W)
    ours = small.expand(small.problem.gradient(compressed), W)
    np.testing.assert_allclose(ours, small.original.gradient(W), rtol=0, atol=1e-13)


def test_recorded_values_are_unchanged(case: tuple[Compression, Array]) -> None:
    small, W = case
    y = small.compress(W)
    original, problem = small.original, small.problem
    (L, g), (L_small, g_small) = original.loss_and_gradient(W), problem.loss_and_gradient(y)
    np.testing.assert_allclose(L_small, L, rtol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(g_small, axis=1), np.linalg.norm(g, axis=1), rtol=1e-13)
    np.testing.assert_allclose(problem.fitted(y), original.fitted(W), atol=1e-13)
    for W_j, y_j in zip(original.unpack(W), problem.unpack(y), strict=True):
        np.testing.assert_allclose(np.linalg.norm(y_j, axis=(1, 2)), np.linalg.norm(W_j, axis=(1, 2)), rtol=1e-14)
    for C, c in zip(original.invariants(W), problem.invariants(y), strict=True):
        np.testing.assert_allclose(np.linalg.norm(c, axis=(1, 2)), np.linalg.norm(C, axis=(1, 2)), rtol=1e-13)
        if C.shape == c.shape:
            np.testing.assert_allclose(c, C, atol=1e-13)


def test_expand_inverts_compress(case: tuple[Compression, Array]) -> None:
    small, W = case
    back = small.expand(small.compress(W), W)
    assert (np.linalg.norm(back - W, axis=1) <= 100 * U * np.linalg.norm(W, axis=1)).all()


def test_the_frame_is_orthonormal(case: tuple[Compression, Array], rng: np.random.Generator) -> None:
    """Any compressed state keeps its norm and inner products."""
    small, W = case
    y = rng.standard_normal((2, len(W), small.problem.n))
    X = np.array([small.expand(one, W) for one in y])
    np.testing.assert_allclose((X[0] * X[1]).sum(-1), (y[0] * y[1]).sum(-1), rtol=0, atol=1e-13 * small.problem.n)


@pytest.mark.parametrize("kind", ["balanced", "parallel", "tiny", "mixed"])
@pytest.mark.parametrize(("widths", "_"), SHAPES[1:4], ids=str)
def test_nearly_dependent_lines(widths: tuple[int, ...], _: object, kind: str, rng: np.random.Generator) -> None:
    """Dependent to rounding, tiny or very unequal: the frame is orthonormal or empty, and nothing is lost."""
    problem = problem_of(widths)
    small = Compression.of(problem)
    W = 0.5 * rng.standard_normal((6, problem.n))
    if kind == "balanced":
        W = laws.starts(problem, laws.Balanced(0.6), 3, 0)[:6]
    elif kind == "parallel":
        for W_j in problem.unpack(W):
            W_j[:, :, 1:] = W_j[:, :, :1] * (1 + 1e-15 * np.arange(1, W_j.shape[-1]))
    elif kind == "tiny":
        W *= 1e-120
    else:
        for scale, W_j in zip((1e-9, 1.0, 1e7, 1e-4, 1.0), problem.unpack(W), strict=False):
            W_j *= scale
    y = small.compress(W)
    assert (np.linalg.norm(small.expand(y, W) - W, axis=1) <= 100 * U * np.linalg.norm(W, axis=1)).all()
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(W, axis=1), rtol=1e-14)
    if kind != "mixed":
        np.testing.assert_allclose(small.problem.loss(y), problem.loss(W), rtol=1e-13)


def test_a_frame_is_orthonormal_or_empty_whatever_the_lines(rng: np.random.Generator) -> None:
    """The remainder of a dependent line is rounding, and orthogonal only after it is orthogonalised again."""
    from basins.landscapes.deep_linear.compression import frames

    p, q, d = 5, 4, 12
    lines = rng.standard_normal((40, p + q, d))
    lines[:10, 3:] = lines[:10, :1] * (1 + 2 * U * rng.integers(-4, 5, size=(10, p + q - 3, d)))
    lines[10:20, 4:] = rng.standard_normal((10, p + q - 4, 4)) @ lines[10:20, :4]
    lines[20:30] *= 10.0 ** rng.integers(-40, 40, size=(10, p + q, 1))
    lines[30:, 2] = 0.0
    ones = np.broadcast_to(np.eye(p + q), (40, p + q, p + q))
    Q = np.empty_like(lines)
    frames.vectors(lines[:, :p], lines[:, p:], ones[:, :p], ones[:, p:], Q[:, :p], Q[:, p:])
    square = Q @ Q.mT
    empty = ~Q.any(axis=-1)
    assert empty[30:, 2].all()  # type: ignore[index]
    assert np.abs(square - np.eye(p + q) * ~empty[:, None]).max() < 1e-14  # type: ignore[index]


def test_planted_zeros_stay_bitwise(rng: np.random.Generator) -> None:
    problem = problem_of((12, 3, 8, 3, 11, 3))
    small = Compression.of(problem)
    W = planted(problem, (0, 2), 5, rng)
    y = small.compress(W)
    for one, state in ((small.problem, y), (problem, small.expand(y + 0.1 * (y != 0), W))):
        layers = one.unpack(state)
        assert not layers[0][..., [0, 2]].any()
        assert not layers[-1][..., [0, 2], :].any()
        assert layers[0][..., 1].all()


def test_overflow_gives_no_finite_state(rng: np.random.Generator) -> None:
    """A line whose square overflows does not become a finite state."""
    problem = problem_of((3, 9, 2))
    W = rng.standard_normal((2, problem.n))
    W[1, 4] = 1e200
    finite = np.isfinite(Compression.of(problem).compress(W)).all(axis=1)
    assert finite.tolist() == [True, False]


# --- the limits are the same -----------------------------------------------------------------------------------------

PAYING = [((12, 3, 3), "reduced"), ((4, 3, 20, 3), "reduced"), ((9, 2, 2, 2), "reduced"), ((3, 16, 2), "raw")]


@pytest.mark.parametrize("engine", ["lanes", "reference"])
@pytest.mark.parametrize(("widths", "flow"), PAYING, ids=str)
def test_verdicts_and_times_are_the_same(widths: tuple[int, ...], flow: str, engine: str) -> None:
    problem = problem_of(widths, flow)
    assert compression(problem) is not None
    W = 0.5 * np.random.default_rng(1).standard_normal((8, problem.n))
    W[0] *= 0.1
    options = {"engine": engine, "method": "DOP853", "rtol": 1e-10, "atol": 1e-12}
    small, full = (integrate(problem, W, compress=compress, **options) for compress in (True, False))
    assert (small.evaluations != full.evaluations).any()  # it was done
    assert (full.verdict == Verdict.minimum).all()
    for name in ("verdict", "reason", "certificate", "modes", "rank"):
        np.testing.assert_array_equal(getattr(small, name), getattr(full, name))
    assert (small.drift < 1e-8).all()
    np.testing.assert_allclose(small.loss_start, full.loss_start, rtol=0)
    # A row stops at its first step below the level: the two stop within a step of each other.
    np.testing.assert_allclose(small.time, full.time, rtol=0.3)
    t_end = {"t_end": float(full.time.min() / 2), "certify": False} | options
    small, full = (integrate(problem, W, compress=compress, **t_end) for compress in (True, False))
    np.testing.assert_array_equal(small.time, full.time)
    np.testing.assert_allclose(small.state, full.state, atol=1e-8)
    np.testing.assert_allclose(small.loss, full.loss, rtol=1e-8)


@pytest.mark.parametrize("engine", ["lanes", "reference"])
def test_planted_saddles_are_proved(engine: str, rng: np.random.Generator) -> None:
    problem = problem_of((14, 3, 12, 3))
    assert compression(problem) is not None
    found = integrate(problem, planted(problem, (1,), 4, rng), engine=engine)
    assert (found.verdict == Verdict.saddle).all()
    assert (found.certificate == Certificate.invariant).all()
    assert (found.modes == 0b101).all()


@pytest.mark.slow
def test_outlasted_saddle() -> None:
    """theory.md 6.8 with more inputs: the compressed state is read at rest, and waited for."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=12, hidden=(2,))
    W_1 = np.hstack([np.diag([0.7, 0.4]), np.zeros((2, 10))])
    W_1[0, 4] = 0.2
    found = integrate(problem, problem.pack([W_1, np.diag([0.9, -0.4])]), wait=True)
    assert VERDICTS[found.verdict[0]] == "saddle"
    assert found.certificate[0] == Certificate.outlasted
    assert found.modes[0] == 0b01
    assert found.state.shape == (1, problem.n)


def test_a_row_that_never_moves_keeps_its_bits(rng: np.random.Generator) -> None:
    problem = problem_of((12, 3, 3))
    first = integrate(problem, 0.5 * rng.standard_normal((3, problem.n)))
    found = integrate(problem, first.state)
    assert (found.time == 0).all()
    assert found.state.tobytes() == first.state.tobytes()
    start = laws.starts(problem, laws.Gaussian((5.0, 1.0)), 1, 0)[:20]
    known = integrate(problem, start, at_start=True, budget=5)
    unmoved = known.certificate == Certificate.rate
    np.testing.assert_array_equal(known.state[unmoved], start[unmoved])


def test_visits_are_the_same(rng: np.random.Generator) -> None:
    """From a small start the flow passes strata. The visits are read in the compressed space."""
    problem = problem_of((14, 3, 3))
    W = 1e-3 * rng.standard_normal((3, problem.n))
    small, full = (integrate(problem, W, rtol=1e-10, compress=compress).visits for compress in (True, False))
    assert len(small.row) >= 3
    for name in ("row", "number", "modes", "rank"):
        np.testing.assert_array_equal(getattr(small, name), getattr(full, name))
    np.testing.assert_allclose(small.loss, full.loss, rtol=0.1)


def test_shards_split_anywhere_have_the_same_bytes() -> None:
    problem = problem_of((12, 3, 3))
    W = laws.starts(problem, laws.Gaussian(0.4), 2, 0)[:40]
    watch = np.arange(40) % 3 == 0
    whole = integrate_batch(problem, W, Settings(), watch)
    order = np.random.default_rng(0).permutation(40)
    for rows in (np.arange(17), np.arange(17, 40), order):
        part = integrate_batch(problem, W[rows], Settings(), watch[rows])
        for name in ("state", "time", "loss", "gradient_norm", "drift", "margin", "evaluations"):
            assert getattr(part, name).tobytes() == getattr(whole, name)[rows].tobytes(), name


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_a_row_depends_on_no_other(case: tuple[Compression, Array], rng: np.random.Generator) -> None:
    small, W = case
    y = small.compress(W)
    later = y + 0.1
    X = small.expand(later, W)
    order = rng.permutation(len(W))
    assert small.compress(W[order]).tobytes() == y[order].tobytes()
    assert small.expand(later[order], W[order]).tobytes() == X[order].tobytes()
    for row in range(len(W)):
        one = slice(row, row + 1)
        assert small.compress(W[one]).tobytes() == y[one].tobytes()
        assert small.expand(later[one], W[one]).tobytes() == X[one].tobytes()


DIGEST = """
import hashlib, os, numpy as np
from basins.landscapes.deep_linear.compression import frames
from basins.landscapes.deep_linear.compression import Compression
from basins.landscapes.deep_linear.problem import Problem
small = Compression.of(Problem.from_spectrum([2.0, 1.1], d_x=80, hidden=(5, 71, 2)))
W = np.random.Generator(np.random.Philox(5)).standard_normal((2, small.original.n))
W[1] *= 1e-3
def inner(a, b):
    sums = [0.0] * 16
    for i in range(len(a) // 16 * 16):
        sums[i % 16] += a[i] * b[i]
    while len(sums) > 1:
        sums = [x + y for x, y in zip(sums[:len(sums) // 2], sums[len(sums) // 2:])]
    return sums[0]
if "NUMBA_DISABLE_JIT" in os.environ:
    frames.inner = inner
y = small.compress(W)
print(hashlib.sha256(y.tobytes() + small.expand(y * 1.25 + 0.1, W).tobytes()).hexdigest())
"""


def test_compiled_code_equals_plain_python() -> None:
    """Plain Python rounds each operation by itself, and so must the compiled code: nothing fused, no sum reordered."""
    found = []
    for mode in ({"NUMBA_DISABLE_JIT": "1"}, {}):
        ran = subprocess.run([sys.executable, "-c", DIGEST], env=os.environ | mode, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        found.append(ran.stdout)
    assert len(set(found)) == 1
