"""Networks that were trained elsewhere, as a problem and a state: a chain of linear layers without biases.

Neither torch nor jax is imported: a module is what has `state_dict`, a tensor what has `detach`, an array what numpy
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats
from basins.errors import ArgumentError, DataError, nearest
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.problem_checks import Flow, check_flow
from basins.landscapes.deep_linear.reduction import Reduction, reduce
from basins.landscapes.deep_linear.trained_names import of_parameters, of_state_dict, refuse_foreign_modules

Array = NDArray[np.float64]

LOSSES: dict[str, tuple[str, Callable[[int, int], float]]] = {
    "mse-mean": ("the mean over samples and outputs of (P - Y)^2", lambda m, d_y: 2 / (m * d_y)),
    "mse-sum": ("sum (P - Y)^2", lambda m, d_y: 2.0),
    "half-sum": ("1/2 sum (P - Y)^2", lambda m, d_y: 1.0),
    "half-mean": ("the mean over samples of 1/2 |P - Y|^2", lambda m, d_y: 1 / m),
    "sample-mean": ("the mean over samples of |P - Y|^2", lambda m, d_y: 2 / m),
}
"""By name, what it is of the outputs P, and how many times 1/2 sum (P - Y)^2, of m samples and d_y outputs."""

AGREE = 1e-3
"""How far a module's outputs may be from those of the chain of its weights, relative to their largest, rounding apart:
an activation is far above."""

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Spacing of the numbers of a type at 1, by the end of its name."""

SAMPLES = 64
"""Samples on which a module is compared with the chain of its weights."""


def from_torch(
    module: Any, X: ArrayLike, Y: ArrayLike, *, loss: str = "mse-mean", flow: Flow = "raw"
) -> tuple[Problem, Array]:
    """(problem, W) of a torch module, or of its state dict, and the data it was trained on.

    module: a chain of torch.nn.Linear(bias=False), nested in Sequentials or in modules of your own; or its state_dict:
    names -> weights, as tensors or as numpy arrays, each (outputs, inputs), in the order in which they are applied. X
    (n_samples, d_x), Y (n_samples, d_y): as given to the module. A module is called on samples of X, and refused where
    its outputs are not those of the chain of its weights; a state dict does not say what is between its layers, so a
    chain is assumed, and `problem.notes` says so.

    loss: what was minimised, of the outputs P:
        "mse-mean"      mean over all entries of (P - Y)^2: torch.nn.MSELoss()
        "mse-sum"       sum (P - Y)^2: MSELoss(reduction="sum")
        "half-sum"      1/2 sum (P - Y)^2: `Problem.from_data` without rescaling
        "half-mean"     mean over samples of 1/2 |P - Y|^2;  "sample-mean": twice that
    X and Y are multiplied by one number, sqrt(c), c the factor from "half-sum" (2 / (n_samples d_y) for "mse-mean"), so
    that problem.loss(W) + problem.least_squares_loss is the training loss, problem.gradient(W) its gradient, and the
    flow's time is learning rate times steps of gradient descent. The factor is in `problem.notes`.

    flow: "raw", that of training on X; W, (n,) in float64, then is the weights themselves, layer after layer, except
    that of a rank-deficient X only the part of W_1 that X reaches is kept. "reduced": the paper's flow, of the same
    critical points and losses in other coordinates, and another flow. Weights of any precision are taken exactly;
    `basins.where` recognises those of float32.

    Raises ArgumentError, naming the layer, for biases, activations, convolutions and whatever else is no linear layer,
    for layers that do not follow on each other or do not fit X and Y, that share a weight, are partly frozen, or hold
    values that are not finite; DataError and AssumptionError as `Problem.from_data`.
    """
    where = "from_torch"
    weights = module
    if callable(getattr(module, "state_dict", None)):
        refuse_foreign_modules(module, where)
        weights = module.state_dict()
    if not isinstance(weights, Mapping):
        what = f"{type(module).__name__} is neither a module nor a state dict"
        raise ArgumentError(what, where=where, remedy="give a torch module of linear layers, or its state_dict()")
    layers = of_state_dict(weights, where, seen=callable(getattr(module, "named_modules", None)))
    X, Y = _data(X, "X"), _data(Y, "Y")
    read = {name: _layer(tensor, f"{where}: layer {name!r}") for name, tensor in layers}
    _check_chain(read, X, Y, where)
    if weights is not module:
        _check_outputs(module, next(tensor for _, tensor in layers), list(read.values()), X, where)
        said = "a torch module, whose outputs are those of the chain of its weights"
    else:
        said = "a state dict, which does not say what is between its layers: a chain is assumed"
    return _assembled(read, [tensor for _, tensor in layers], X, Y, loss, flow, said)


def from_jax(
    params: Any, X: ArrayLike, Y: ArrayLike, *, loss: str = "mse-mean", flow: Flow = "raw", layout: str = "in-out"
) -> tuple[Problem, Array]:
    """(problem, W) of the parameters of a jax network, a chain of linear layers without biases, and its data.

    params: nested dicts, lists and tuples of arrays, one a layer: flax's {"params": {"Dense_0": {"kernel": ...}}},
    haiku's {"linear": {"w": ...}}, or a list of arrays. Layers of numbered names come in the order of their numbers,
    others in the order given. layout: "in-out", each array (inputs, outputs), as in x @ W and in flax and haiku; or
    "out-in", (outputs, inputs). Parameters do not say what is between the layers: a chain is assumed, and
    `problem.notes` says so. X, Y, loss, flow, what is returned and what is raised: as of `from_torch`.
    """
    where = "from_jax"
    if layout not in ("in-out", "out-in"):
        raise ArgumentError(f"layout = {layout!r}", where=where, remedy="give 'in-out' (x @ W) or 'out-in' (W @ x)")
    layers = of_parameters(params, where)
    X, Y = _data(X, "X"), _data(Y, "Y")
    read = {name: _layer(array, f"{where}: layer {name!r}") for name, array in layers}
    turned = {name: W_j.T for name, W_j in read.items()}
    chosen, other = (turned, read) if layout == "in-out" else (read, turned)
    try:
        _check_chain(chosen, X, Y, where)
    except ArgumentError as error:
        if _fits(other, X, Y):
            said = "out-in" if layout == "in-out" else "in-out"
            raise ArgumentError(error.what, where=error.where, remedy=f"they fit with layout={said!r}") from None
        raise
    said = f"parameters, {layout}, which do not say what is between the layers: a chain is assumed"
    return _assembled(chosen, [array for _, array in layers], X, Y, loss, flow, said)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A tensor as a numpy array of doubles, which hold every shorter float; anything else as it is."""
    if not callable(getattr(value, "detach", None)):
        return value
    tensor = value.detach()
    if callable(getattr(tensor, "cpu", None)):
        tensor = tensor.cpu()
    # numpy has no bfloat16, so every float goes there as a double
    if callable(getattr(tensor, "double", None)) and "complex" not in str(getattr(tensor, "dtype", "")):
        tensor = tensor.double()
    return tensor.numpy() if callable(getattr(tensor, "numpy", None)) else tensor


def _type_of(tensor: Any) -> str:
    """The name of a tensor's type: float32 of torch.float32."""
    return str(getattr(tensor, "dtype", "float64")).rpartition(".")[2]


def _data(array: Any, name: str) -> Array:
    values = floats(_plain(array), name, kind=DataError).astype(np.float64)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"shape {values.shape} is not (n_samples, columns)", where=name, remedy="give a 2-d array")
    return values


def _layer(tensor: Any, where: str) -> Array:
    remedy = "give a linear layer's weight"
    try:
        array = _plain(tensor)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArgumentError(f"not an array of numbers ({said})", where=where, remedy=remedy) from None
    if str(getattr(array, "dtype", "")) == "bfloat16":
        array = array.astype(np.float32)
    W_j = floats(array, where, remedy=remedy)
    if W_j.ndim != 2:
        kind = {0: "a number", 1: "a vector, as of a bias or a normalisation"}.get(W_j.ndim, "as of a convolution")
        what = f"shape {tuple(W_j.shape)} is no matrix ({kind})"
        raise ArgumentError(what, where=where, remedy="give a chain of linear layers without biases")
    bad = np.argwhere(~np.isfinite(W_j))
    if len(bad):
        row, column = bad[0]
        what = f"{len(bad)} value(s) not finite, the first at [{row}, {column}]: {W_j[row, column]}"
        raise ArgumentError(what, where=where, remedy="training diverged: give an earlier state")
    return W_j


# --- the chain --------------------------------------------------------------------------------------------------------


def _check_chain(layers: Mapping[str, Array], X: Array, Y: Array, where: str) -> None:
    """Raises ArgumentError where layers (out, in) do not lead from X's columns to Y's, one after the other."""
    names, matrices = list(layers), list(layers.values())
    if len(names) < 2:
        found = f"only one layer, {names[0]!r}" if names else "no layer"
        raise ArgumentError(found, where=where, remedy="give at least two linear layers: with one the loss is convex")
    if matrices[0].shape[1] != X.shape[1]:
        what = f"layer {names[0]!r} takes {matrices[0].shape[1]} inputs, and X has {X.shape[1]} columns"
        raise ArgumentError(what, where=where, remedy="give X as the network was given it")
    for k in range(len(names) - 1):
        there, here = matrices[k].shape[0], matrices[k + 1].shape[1]
        if there != here:
            what = f"layer {names[k]!r} gives {there} numbers and the next, {names[k + 1]!r}, takes {here}"
            raise ArgumentError(what, where=where, remedy="give the layers of one chain, in the order of their use")
    if matrices[-1].shape[0] != Y.shape[1]:
        what = f"the last layer, {names[-1]!r}, gives {matrices[-1].shape[0]} outputs, and Y has {Y.shape[1]} columns"
        raise ArgumentError(what, where=where, remedy="give Y as the loss was given it: classes one-hot")


def _fits(layers: Mapping[str, Array], X: Array, Y: Array) -> bool:
    try:
        _check_chain(layers, X, Y, "")
    except ArgumentError:
        return False
    return True


def _product(matrices: Sequence[Array]) -> Array:
    product = matrices[0]
    for W_j in matrices[1:]:
        product = W_j @ product
    return product


def _check_outputs(module: Any, tensor: Any, matrices: Sequence[Array], X: Array, where: str) -> None:
    """Call the module on some of X, where it can be called, and compare. Raises ArgumentError for other outputs."""
    if not callable(module) or not callable(getattr(tensor, "new_tensor", None)):
        return
    some = X[:SAMPLES]
    try:
        outputs = _plain(module(tensor.new_tensor(some.tolist())))
    except Exception as error:  # whatever a module of the user's own raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"the module cannot be called on X ({said})"
        raise ArgumentError(
            what, where=where, remedy="give its state_dict(), if it is a chain of linear layers"
        ) from None
    expected = some @ _product(matrices).T
    outputs = np.asarray(outputs)
    rounding = EPSILON.get(_type_of(tensor), EPSILON["float32"])
    sizes = float(np.prod([np.linalg.norm(W_j) for W_j in matrices])) * float(np.abs(some).max())
    allowed = AGREE * float(np.abs(expected).max()) + 4 * rounding * sizes
    if outputs.shape != expected.shape or not np.abs(outputs - expected).max() <= allowed:
        what = "the module's outputs are not those of the chain of its weights: something else is in its forward"
        raise ArgumentError(what, where=where, remedy="give a chain of linear layers, without activations or skips")


# --- problem and state ------------------------------------------------------------------------------------------------


def _assembled(
    layers: Mapping[str, Array], tensors: Sequence[Any], X: Array, Y: Array, loss: str, flow: Flow, said: str
) -> tuple[Problem, Array]:
    if loss not in LOSSES:
        raise ArgumentError(f"unknown loss {loss!r}", where="loss", remedy=nearest(loss, LOSSES))
    if len(X) != len(Y):
        raise DataError(f"X has {len(X)} samples and Y has {len(Y)}", remedy="give one row of Y for each row of X")
    means, factor = LOSSES[loss]
    c = factor(*Y.shape)
    reduction = reduce(np.sqrt(c) * X, np.sqrt(c) * Y)
    matrices = list(layers.values())
    problem = Problem.of_reduction(reduction, [len(W_j) for W_j in matrices[:-1]], check_flow(flow))
    problem.warn_tied_sums()
    types = sorted({_type_of(tensor) for tensor in tensors})
    notes = (
        *problem.notes,
        f"weights {', '.join(layers)} ({', '.join(types)}) of {said}",
        f"loss {loss!r}, {means}: X and Y are multiplied by sqrt({c:.6g}) = {np.sqrt(c):.6g}, so that L + "
        f"{problem.least_squares_loss:.6g} is this loss, and time is learning rate times steps",
    )
    return replace(problem, notes=notes), problem.pack(list(_in_coordinates(matrices, reduction, flow)))


def _in_coordinates(matrices: Sequence[Array], reduction: Reduction, flow: Flow) -> Iterator[Array]:
    """The layers in the coordinates of the problem."""
    first, last = matrices[0], matrices[-1]
    if reduction.directions is not None:
        first = first @ reduction.directions
    if flow == "reduced":
        first, last = first @ reduction.gram_root @ reduction.V_Y, reduction.U_Y.T @ last
    yield from (first, *matrices[1:-1], last)
