"""Networks of torch and jax as problems: the training loss, its gradient, its descent; whatever else is refused.

Every test of modules runs on torch where it is installed, and on what quacks like it (quacks.py) everywhere.
"""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import quacks

import basins
from basins.errors import ArgumentError, AssumptionError, BasinsError, DataError
from basins.landscapes.deep_linear.trained import LOSSES

RNG = np.random.default_rng(11)
X, Y = RNG.normal(size=(40, 4)).astype(np.float32), RNG.normal(size=(40, 2)).astype(np.float32)
FRAMEWORKS = ["quacks", *(["torch"] if importlib.util.find_spec("torch") else [])]


@pytest.fixture(params=FRAMEWORKS)
def nn(request: pytest.FixtureRequest) -> Any:
    """torch.nn, with `tensor`."""
    if request.param == "quacks":
        return SimpleNamespace(**vars(quacks), tensor=lambda array: quacks.Tensor(array, False))
    import torch  # type: ignore[import-not-found]

    torch.manual_seed(0)
    return SimpleNamespace(**{name: getattr(torch.nn, name) for name in (
        "Linear", "Sequential", "Identity", "ReLU", "Conv2d", "BatchNorm1d", "Module",
    )}, tensor=torch.tensor)  # fmt: skip


def linear(nn: Any, *widths: int) -> list[Any]:
    return [nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]


def arrays(module: Any) -> list[Any]:
    return [np.array(tensor.detach().cpu().double().numpy()) for tensor in module.state_dict().values()]


def outputs(layers: Any, inputs: Any = X) -> Any:
    for W_j in layers:
        inputs = inputs @ W_j.T
    return inputs


TRAINED = {
    "mse-mean": lambda R: (R**2).mean(),
    "mse-sum": lambda R: (R**2).sum(),
    "half-sum": lambda R: 0.5 * (R**2).sum(),
    "half-mean": lambda R: 0.5 * (R**2).sum(axis=1).mean(),
    "sample-mean": lambda R: (R**2).sum(axis=1).mean(),
}
"""Written out once more, so that a wrong factor in LOSSES is seen."""


def gradient(layers: Any, loss: str, inputs: Any = X) -> Any:
    """Of the training loss by central differences."""
    flat = np.concatenate([W_j.ravel() for W_j in layers])

    def at(w: Any) -> float:
        cut = np.split(w, np.cumsum([W_j.size for W_j in layers])[:-1])
        return float(TRAINED[loss](outputs([c.reshape(W.shape) for c, W in zip(cut, layers, strict=True)], inputs) - Y))

    return np.array([(at(flat + d) - at(flat - d)) / 2e-5 for d in 1e-5 * np.eye(len(flat))])


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_and_its_gradient_are_those_of_training(nn: Any, loss: str) -> None:
    module = nn.Sequential(*linear(nn, 4, 3, 3, 2))
    problem, W = basins.from_torch(module, nn.tensor(X), nn.tensor(Y), loss=loss)
    layers = arrays(module)
    assert problem.widths == (4, 3, 3, 2)
    assert problem.flow == "raw"
    np.testing.assert_array_equal(W, np.concatenate([W_j.ravel() for W_j in layers]))
    assert problem.least_squares_loss is not None
    trained = TRAINED[loss](outputs(layers) - Y)
    assert problem.loss(W) + problem.least_squares_loss == pytest.approx(trained, rel=1e-12)
    np.testing.assert_allclose(problem.gradient(W), gradient(layers, loss), rtol=1e-5, atol=1e-6)
    assert any(f"loss {loss!r}" in note for note in problem.notes)
    assert any("0.weight, 1.weight, 2.weight (float32)" in note for note in problem.notes)


def test_the_default_is_the_default_of_torch(nn: Any) -> None:
    module = nn.Sequential(*linear(nn, 4, 3, 2))
    assert basins.from_torch(module, X, Y)[0] == basins.from_torch(module, X, Y, loss="mse-mean")[0]


def test_descent_is_the_flow_at_learning_rate_times_steps() -> None:
    layers = [0.5 * RNG.normal(size=shape) for shape in ((3, 4), (2, 3))]
    problem, W = basins.from_torch({"0.weight": layers[0], "1.weight": layers[1]}, X, Y)
    rate, steps = 1e-4, 2000
    for _ in range(steps):
        slope = (2 / Y.size) * (outputs(layers) - Y)
        layers = [layers[0] - rate * layers[1].T @ slope.T @ X, layers[1] - rate * slope.T @ X @ layers[0].T]
    (state,) = basins.trajectory(problem, W, [rate * steps]).state
    np.testing.assert_allclose(state, np.concatenate([W_j.ravel() for W_j in layers]), atol=1e-4)
    assert np.abs(state - W).max() > 0.02


def test_nested_modules_are_read_in_their_order(nn: Any) -> None:
    a, b, c = linear(nn, 4, 3, 5, 2)
    module = nn.Sequential(nn.Sequential(a, nn.Identity()), nn.Identity(), nn.Sequential(nn.Sequential(b), c))
    problem, W = basins.from_torch(module, X, Y)
    np.testing.assert_array_equal(W, np.concatenate([array.ravel() for array in arrays(module)]))
    assert problem.hidden == (3, 5)


def test_a_state_dict_and_numpy_arrays(nn: Any) -> None:
    module = nn.Sequential(*linear(nn, 4, 3, 2))
    problem, W = basins.from_torch(module, X, Y)
    of_dict = basins.from_torch(module.state_dict(), X, Y)
    of_arrays = basins.from_torch(
        {f"net.layers.{k}.weight": array.tolist() for k, array in enumerate(arrays(module))}, X.tolist(), Y.tolist()
    )
    for other, state in (of_dict, of_arrays):
        assert other == problem
        np.testing.assert_array_equal(state, W)
        assert any("a chain is assumed" in note for note in other.notes)


@pytest.mark.parametrize("flow", ["raw", "reduced"])
@pytest.mark.parametrize("rank", [4, 3])
def test_other_coordinates_have_the_same_loss(flow: Any, rank: int) -> None:
    inputs = X.astype(np.float64)
    if rank == 3:
        inputs[:, 3] = inputs[:, 0] - 2 * inputs[:, 1]
    layers = [RNG.normal(size=shape) for shape in ((3, 4), (2, 3), (2, 2))]
    named = {f"{k}.weight": W_j for k, W_j in enumerate(layers)}
    problem, W = basins.from_torch(named, inputs, Y, flow=flow)
    assert problem.widths == (rank, 3, 2, 2)
    assert problem.flow == flow
    assert problem.least_squares_loss is not None
    trained = TRAINED["mse-mean"](outputs(layers, inputs) - Y)
    assert problem.loss(W) + problem.least_squares_loss == pytest.approx(trained, rel=1e-12)
    if flow == "raw":  # what X does not reach does not move
        slope = np.linalg.norm(gradient(layers, "mse-mean", inputs))
        assert np.linalg.norm(problem.gradient(W)) == pytest.approx(slope, rel=1e-4)


def test_half_precision(nn: Any) -> None:
    module = nn.Sequential(*linear(nn, 4, 3, 2))
    short = {
        name: value.detach().cpu().double().numpy().astype(np.float16) for name, value in module.state_dict().items()
    }
    problem, W = basins.from_torch(short, X, Y)
    np.testing.assert_array_equal(W, np.concatenate([array.ravel() for array in short.values()]))
    assert W.dtype == np.float64
    assert any("(float16)" in note for note in problem.notes)


@pytest.mark.skipif("torch" not in FRAMEWORKS, reason="bfloat16 is torch's")
def test_bfloat16() -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(3, 2, bias=False)).bfloat16()
    problem, W = basins.from_torch(module, X, Y)
    assert (W.astype(np.float32).view(np.uint32) % 2**16 == 0).all()
    assert any("(bfloat16)" in note for note in problem.notes)


def test_jax_parameters() -> None:
    layers = [RNG.normal(size=shape) for shape in ((3, 4), (3, 3), (2, 3))]
    problem, W = basins.from_torch({f"{k}.weight": W_j for k, W_j in enumerate(layers)}, X, Y)
    kernels = [W_j.T for W_j in layers]
    trees: list[Any] = [
        kernels,
        tuple(kernels),
        {"params": {f"Dense_{k}": {"kernel": kernel} for k, kernel in enumerate(kernels)}},
        {"params": {f"Dense_{k}": {"kernel": kernels[k]} for k in (2, 0, 1)}},
        {"linear": {"w": kernels[0]}, "linear_1": {"w": kernels[1]}, "linear_2": {"w": kernels[2]}},
        [kernel.tolist() for kernel in kernels],
    ]
    for tree in trees:
        other, state = basins.from_jax(tree, X, Y)
        assert other == problem
        np.testing.assert_array_equal(state, W)
    np.testing.assert_array_equal(basins.from_jax(layers, X, Y, layout="out-in")[1], W)


def test_ten_layers_of_jax_are_in_the_order_of_their_numbers() -> None:
    kernels = {f"Dense_{k}": {"kernel": RNG.normal(size=(4 if k == 0 else 3, 2 if k == 11 else 3))} for k in range(12)}
    _, W = basins.from_jax({name: kernels[name] for name in sorted(kernels)}, X, Y)
    np.testing.assert_array_equal(W, np.concatenate([kernels[f"Dense_{k}"]["kernel"].T.ravel() for k in range(12)]))


# --- what is refused --------------------------------------------------------------------------------------------------


class Refused:
    """(what is given, what is said), by name, of a framework."""

    def __init__(self, nn: Any) -> None:
        seq = nn.Sequential
        a, b = linear(nn, 4, 3, 2)
        tied = nn.Linear(3, 3, bias=False)
        frozen = seq(*linear(nn, 4, 3, 2))
        next(iter(dict(frozen.named_parameters()).values())).requires_grad_(False)

        class Skips(nn.Module):  # type: ignore[misc]
            """x -> W_2 relu(W_1 x), of which no module tells."""

            def __init__(self) -> None:
                super().__init__()
                if hasattr(self, "parts"):
                    self.parts = {"a": a, "b": b}
                else:
                    self.a, self.b = a, b

            def __call__(self, x: Any) -> Any:
                return b(nn.ReLU()(a(x)))

            forward = __call__

        self.cases: dict[str, tuple[Any, str]] = {
            "bias": (seq(nn.Linear(4, 3), b), r"layer '0': a linear layer with a bias; train with bias=False"),
            "bias in a dict": (seq(nn.Linear(4, 3), b).state_dict(), r"layer '0\.bias': a bias; train with bias=False"),
            "activation": (seq(a, nn.ReLU(), b), r"layer '1': a ReLU is no linear layer; give a chain"),
            "activation in a dict": (
                seq(a, nn.ReLU(), b).state_dict(),
                r"module '1' has no weights, so it may be an activation: a state dict does not say; give the module",
            ),
            "hidden activation": (Skips(), r"the module's outputs are not those of the chain of its weights"),
            "convolution": (seq(nn.Conv2d(4, 3, 2, bias=False), b), r"layer '0': a Conv2d is no linear layer"),
            "convolution in a dict": (
                {"0.weight": np.ones((3, 4, 2, 2)), "1.weight": np.ones((2, 3))},
                r"layer '0\.weight': shape \(3, 4, 2, 2\) is no matrix \(as of a convolution\)",
            ),
            "normalisation": (seq(a, nn.BatchNorm1d(3), b), r"layer '1': a BatchNorm1d is no linear layer"),
            "one layer": (nn.Linear(4, 2, bias=False), r"only one layer, 'weight'; give at least two linear layers"),
            "inputs": (seq(*linear(nn, 5, 3, 2)), r"layer '0\.weight' takes 5 inputs, and X has 4 columns"),
            "outputs": (
                seq(*linear(nn, 4, 3, 3)),
                r"last layer, '1\.weight', gives 3 outputs, and Y has 2 columns",
            ),
            "no chain": (
                {"0.weight": np.ones((3, 4)), "1.weight": np.ones((2, 5))},
                r"layer '0\.weight' gives 3 numbers and the next, '1\.weight', takes 5",
            ),
            "shared": (seq(a, tied, tied, b), r"layers '1\.weight' and '2\.weight' share one weight"),
            "frozen": (frozen, r"layer '0\.weight' is frozen, and others are not"),
            "diverged": (
                {"0.weight": np.ones((3, 4)), "1.weight": np.array([[1, np.nan, 2], [np.inf, 1, 1]])},
                r"layer '1\.weight': 2 value\(s\) not finite, the first at \[0, 1\]: nan; training diverged",
            ),
            "complex": (
                {"0.weight": np.ones((3, 4)), "1.weight": 1j * np.ones((2, 3))},
                r"layer '1\.weight': not an array of numbers but of complex numbers",
            ),
            "checkpoint": (
                {"state_dict": {}, "epoch": 3},
                r"layer 'state_dict': a parameter 'state_dict' is",
            ),
            "empty": ({}, r"from_torch: no layer; give at least two"),
            "no names": ({0: np.ones((3, 4))}, r"the key 0 is no name; give a module's state_dict\(\)"),
            "an array": (np.ones((3, 4)), r"ndarray is neither a module nor a state dict"),
            "nothing": (None, r"NoneType is neither a module nor a state dict"),
        }


@pytest.mark.parametrize("name", Refused(quacks).cases)
def test_what_is_no_chain_is_refused_by_name(nn: Any, name: str) -> None:
    given, said = Refused(nn).cases[name]
    with pytest.raises(ArgumentError, match=said) as refusal:
        basins.from_torch(given, X, Y)
    assert str(refusal.value).startswith("from_torch")
    assert "\n" not in str(refusal.value)


def test_other_arguments(nn: Any) -> None:
    module = nn.Sequential(*linear(nn, 4, 3, 2))
    with pytest.raises(ArgumentError, match=r"^loss: unknown loss 'mse_mean'; did you mean 'mse-mean'\?"):
        basins.from_torch(module, X, Y, loss="mse_mean")
    with pytest.raises(ArgumentError, match=r"^loss: unknown loss None"):
        basins.from_torch(module, X, Y, loss=None)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^flow: unknown flow 'fast'"):
        basins.from_torch(module, X, Y, flow="fast")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="X has 40 samples and Y has 39"):
        basins.from_torch(module, X, Y[:-1])
    with pytest.raises(DataError, match="not finite"):
        basins.from_torch(module.state_dict(), X * np.inf, Y)
    with pytest.raises(AssumptionError, match="Assumption 1: hidden width"):
        basins.from_torch(nn.Sequential(*linear(nn, 4, 1, 2)), X, Y)
    broken = nn.Sequential(*linear(nn, 4, 3, 2))
    broken.__class__ = type("Broken", (type(broken),), {"__call__": lambda self, x: x + None})
    with pytest.raises(ArgumentError, match="the module cannot be called on X"):
        basins.from_torch(broken, X, Y)


JAX: dict[str, tuple[Any, str]] = {
    "bias": (
        {"Dense_0": {"kernel": np.ones((4, 3)), "bias": np.zeros(3)}},
        r"'Dense_0/bias': a bias; train without: use_bias=False",
    ),
    "haiku's": ({"linear": {"w": np.ones((4, 3)), "b": np.zeros(3)}}, r"'linear/b': a bias"),
    "normalisation": ({"LayerNorm_0": {"scale": np.ones(3)}}, r"a parameter 'scale' is no linear layer's"),
    "turned": (
        [np.ones((3, 4)), np.ones((2, 3))],
        r"takes 3 inputs, and X has 4 columns; they fit with layout='out-in'",
    ),
    "convolution": ([np.ones((2, 2, 4, 3)), np.ones((3, 2))], r"layer '0': shape \(2, 2, 4, 3\) is no matrix"),
    "a vector": ([np.ones((4, 3)), np.ones(3), np.ones((3, 2))], r"layer '1': shape \(3,\) is no matrix \(a vector"),
    "empty": ([], r"from_jax: no layer"),
    "nan": ([np.ones((4, 3)), np.full((3, 2), np.nan)], r"layer '1': 6 value\(s\) not finite"),
    "an array": (np.ones((4, 3)), r"ndarray is no tree of parameters"),
    "text": ("params.npz", r"str is no tree of parameters"),
    "a number": ({"Dense_0": {"kernel": 3.0}}, r"shape \(\) is no matrix \(a number\)"),
}


@pytest.mark.parametrize("name", JAX)
def test_parameters_that_are_no_chain_are_refused_by_name(name: str) -> None:
    given, said = JAX[name]
    with pytest.raises(BasinsError, match=said) as refusal:
        basins.from_jax(given, X, Y)
    assert str(refusal.value).startswith("from_jax")
    with pytest.raises(ArgumentError, match=r"layout = 'out'; give 'in-out'"):
        basins.from_jax(given, X, Y, layout="out")


def test_neither_framework_is_imported() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, basins\n"
        "X, Y = np.eye(4)[:, :3] + 0.1, np.eye(4)[:, 1:3]\n"
        "basins.from_torch({'0.weight': np.eye(3), '1.weight': np.eye(2, 3)}, X, Y)\n"
        "basins.from_jax([np.eye(3), np.eye(3, 2)], X, Y)\n"
        "assert not {'torch', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
