"""The generated code: right to rounding, and the same to the last bit whatever it is compiled for."""

import ctypes

import llvmlite.binding as llvm
import numpy as np
import pytest
from lanes_cases import SHAPES, everything, gaussian, leg, problem_of
from scipy.integrate import DOP853

from basins.codegen import matrix_product
from basins.codegen.jit import parsed, target_machine
from basins.integrators.base import Settings
from basins.integrators.simd import dop853
from basins.integrators.simd.integrator import run
from basins.integrators.simd.kernel import compiled
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.step_code import OUT, scratch_of, source
from basins.landscapes.deep_linear.gradient_code import DeepLinearCode

U = 2.0**-53
SETTINGS = Settings(engine="lanes", method="DOP853")
HOST = llvm.get_host_cpu_features()


class Bench:
    """One kernel with memory of its own, its functions callable from Python."""

    def __init__(self, problem, lanes=4, **target):
        shape = problem.gradient_code()
        self.code, self.n, self.lanes = compiled(shape, lanes, **target), shape.n, lanes
        sizes = {"old": shape.n, "slope": shape.n, "new": shape.n, "new_slope": shape.n, "h": 1, "out": len(OUT)}
        self.memory = {name: aligned(size * lanes).reshape(size, lanes) for name, size in sizes.items()}
        self.memory["scratch"] = aligned(scratch_of(shape) * lanes)
        root = () if problem.gram_root is None else problem.gram_root.ravel()
        self.memory["shared"] = np.array([SETTINGS.atol, SETTINGS.rtol, *problem.target.ravel(), *root])

    def __getattr__(self, name):
        return self.memory[name]

    def call(self, name, *arguments):
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arguments))(getattr(self.code, name))
        function(*(self.memory[a].ctypes.data for a in arguments))

    def first(self):
        self.call("first", "old", "slope", "scratch", "shared", "out")

    def attempt(self):
        self.call("attempt", "old", "slope", "new", "new_slope", "h", "scratch", "shared", "out")


def test_the_tableau_is_scipys():
    """Bit for bit, zeros included; the estimate of order 3 is scipy's less the step's weights."""
    tableau = dop853.DOP853
    assert tableau.stages == DOP853.n_stages == 12
    for s, row in enumerate(tableau.rows, start=1):
        assert dense(row).tobytes() == DOP853.A[s].tobytes()
    assert dense(tableau.weights).tobytes() == DOP853.B.tobytes()
    assert dense(tableau.fifth).tobytes() == DOP853.E5[:12].tobytes()
    assert dense(tableau.third).tobytes() == (DOP853.E3[:12] - DOP853.B).tobytes()
    assert len(tableau.third) == 3


def dense(terms):
    coefficients = np.zeros(12)
    for s, c in terms:
        coefficients[s] = c
    return coefficients


@pytest.mark.parametrize("raw", [False, True], ids=["reduced", "raw"])
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_velocity_and_norms(widths, raw):
    problem = problem_of(widths, raw)
    bench = Bench(problem)
    states = gaussian(problem, 4)
    bench.old[:] = states.T
    bench.first()
    loss, gradient = problem.loss_and_gradient(states)
    size = np.abs(gradient).max() + np.abs(problem.target).max()
    assert np.abs(bench.slope.T + gradient).max() <= 64 * problem.n * U * size
    np.testing.assert_allclose(bench.out[0], loss, rtol=1e-12)
    np.testing.assert_allclose(bench.out[1], np.linalg.norm(gradient, axis=1), rtol=1e-12)
    np.testing.assert_allclose(bench.out[2], np.linalg.norm(states, axis=1), rtol=1e-14)


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_one_attempt_is_scipys_to_rounding(widths):
    """State and slope to some u; the error norm to the rounding of its sums, which cancel."""
    problem = problem_of(widths)
    bench = Bench(problem)
    starts, h = gaussian(problem, 4), np.array([1e-3, 0.01, 0.03, 0.05])
    bench.old[:], bench.h[:] = starts.T, h
    bench.first()
    bench.attempt()
    for lane in range(4):
        solver = DOP853(
            lambda t, W: -problem.gradient(W), 0.0, starts[lane], 1.0, first_step=h[lane], rtol=1e3, atol=1e3
        )
        solver.step()
        assert solver.t == h[lane]
        after = solver.y
        assert np.abs(bench.new[:, lane] - after).max() <= 32 * U * np.abs(after).max()
        scale = SETTINGS.atol + np.maximum(np.abs(starts[lane]), np.abs(after)) * SETTINGS.rtol
        error = solver._estimate_error_norm(solver.K, h[lane], scale)  # type: ignore[attr-defined]
        noise = 256 * U * h[lane] * np.sqrt(np.mean((np.abs(solver.K.T) @ (np.abs(solver.E5) + 1e-16) / scale) ** 2))
        assert bench.out[3, lane] == pytest.approx(error, rel=1e-9, abs=noise)
        assert bench.out[4, lane] == pytest.approx(0.9 * bench.out[3, lane] ** (-1 / 8), rel=8 * U)


def test_exact_zeros_stay_exact():
    problem = problem_of((4, 4, 3))
    bench = Bench(problem)
    layers = [w.copy() for w in problem.unpack(gaussian(problem, 4))]
    layers[0][:, :, 1] = 0.0
    layers[1][:, 1, :] = 0.0
    bench.old[:], bench.h[:] = problem.pack(layers).T, 0.1
    bench.first()
    bench.attempt()
    assert not bench.new[bench.old == 0].tobytes().strip(b"\0")


TARGETS = [
    pytest.param("x86-64", "", None, id="baseline"),
    pytest.param("haswell", "", "fma", id="AVX2"),
    pytest.param("skylake-avx512", "-prefer-256-bit", "avx512f", id="AVX-512"),
]


@pytest.mark.parametrize(("cpu", "features", "needs"), TARGETS)
@pytest.mark.parametrize(
    ("widths", "raw"),
    [
        pytest.param((2, 2, 2, 2), False, id="2-2-2-2 reduced"),
        pytest.param((2, 2, 2, 2), True, id="2-2-2-2 raw"),
        pytest.param((5, 4, 4, 3), False, id="5-4-4-3 reduced"),
        pytest.param((5, 4, 4, 3), True, id="5-4-4-3 raw", marks=pytest.mark.slow),
    ],
)
def test_bytes_do_not_depend_on_the_cpu(widths, raw, cpu, features, needs):
    """On baseline x86-64 llvm.fma is libm's fma, correctly rounded like the instruction."""
    if not llvm.get_process_triple().startswith("x86_64") or (needs and not HOST.get(needs)):
        pytest.skip(f"this CPU cannot run code for {cpu}; test_emits_for_other_cpus compiles it")
    problem = problem_of(widths, raw)
    task = leg(gaussian(problem, 21), level=problem.loss(gaussian(problem, 21)) * 0.02, watch=True, t_end=30.0)
    expected = everything(run(compiled(problem.gradient_code(), 4), problem, task, SETTINGS))
    for lanes in (1, 2, 4, 8, 16):
        code = compiled(problem.gradient_code(), lanes, cpu=cpu, features=features)
        assert everything(run(code, problem, task, SETTINGS)) == expected, lanes


@pytest.mark.parametrize("widths", [(5, 4, 4, 3), (6, 5, 3, 7, 2, 2), (30, 18, 3)], ids=str)
def test_bytes_do_not_depend_on_tiles_or_loops(widths, monkeypatch):
    problem = problem_of(widths)
    task = leg(gaussian(problem, 9, 0.2), t_end=0.5)
    expected = everything(run(compiled(problem.gradient_code(), 4), problem, task, SETTINGS))
    for tile, written_out, long in (((1, 1), 0, 2), ((2, 3), 10**6, 100), ((4, 3), 0, 2), ((3, 1), 100, 4)):
        monkeypatch.setattr(matrix_product, "tile_of", lambda r, c, tile=tile: (min(r, tile[0]), min(c, tile[1])))
        monkeypatch.setattr(matrix_product, "WRITTEN_OUT", written_out)
        monkeypatch.setattr(matrix_product, "LONG", long)
        assert everything(run(compiled(problem.gradient_code(), 4), problem, task, SETTINGS)) == expected, tile


@pytest.mark.parametrize(
    ("triple", "cpu", "features", "lanes", "words"),
    [
        ("x86_64-unknown-linux-gnu", "skylake-avx512", "-prefer-256-bit", 8, ("vfmadd", "zmm")),
        ("x86_64-unknown-linux-gnu", "haswell", "", 4, ("vfmadd", "ymm")),
        ("x86_64-unknown-linux-gnu", "x86-64", "", 2, ("callq\tfma", "xmm")),
        ("aarch64-unknown-linux-gnu", "generic", "", 2, ("fmla",)),
        ("arm64-apple-darwin", "apple-m1", "", 2, ("fmla",)),
    ],
    ids=["AVX-512", "AVX2", "baseline", "aarch64", "apple"],
)
def test_emits_for_other_cpus(triple, cpu, features, lanes, words):
    machine = target_machine(cpu, features, triple)
    assembly = machine.emit_assembly(parsed(source(DeepLinearCode((5, 4, 4, 3), raw=True), lanes), machine))
    for word in words:
        assert word in assembly


def test_nothing_may_round_differently():
    text = source(DeepLinearCode((4, 4, 3)), 4)
    for flag in ("fast", "contract", "reassoc", "nnan", "ninf", "nsz", "arcp", "afn"):
        assert f" {flag} " not in text
    assert "llvm.fma" in text
    assert "noalias" in text


def test_no_such_target():
    with pytest.raises(RuntimeError):
        target_machine("generic", "", "riscv256-unknown-none")


def test_work_is_counted():
    """theory.md 7: three products of d_y x |W_j| a layer, less those with the identity."""
    assert DeepLinearCode((4, 4, 3)).multiply_adds == 3 * 3 * 16
    assert DeepLinearCode((5, 4, 4, 3)).multiply_adds == 3 * 3 * (20 + 16)
    assert DeepLinearCode((4, 4, 3), raw=True).multiply_adds == 3 * 3 * 16 + 2 * 3 * 16
