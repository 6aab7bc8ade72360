"""Which parameters of a trained network are its layers, by their names and kinds; what else is there is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from basins.errors import ArgumentError

CHAIN = "give a chain of linear layers without biases"
TRANSPARENT = ("Identity", "Flatten")
"""Modules without parameters that may stand in a chain: on (n_samples, d_x) they change nothing."""
KERNELS = ("kernel", "w", "weight", "weights")

Named = list[tuple[str, Any]]


# --- torch ------------------------------------------------------------------------------------------------------------


def refuse_foreign_modules(module: Any, where: str) -> None:
    """Raises ArgumentError for a module of which a part is neither a container nor a linear layer without a bias, of
    which layers share a weight, or some are frozen. Without `named_modules` nothing is known."""
    if callable(getattr(module, "named_modules", None)):
        parts = list(module.named_modules())
        for name, part in parts:
            has_parts = any(other.startswith(f"{name}." if name else "") and other != name for other, _ in parts)
            _refuse_part(name, part, has_parts, where)
    if callable(getattr(module, "named_parameters", None)):
        _refuse_shared_or_frozen(module, where)


def _refuse_part(name: str, part: Any, has_parts: bool, where: str) -> None:
    kind, at = type(part).__name__, f"{where}: layer {name!r}" if name else where
    if has_parts or kind in TRANSPARENT:
        return
    if not all(hasattr(part, has) for has in ("in_features", "out_features", "weight")) or kind == "Bilinear":
        raise ArgumentError(f"a {kind} is no linear layer", where=at, remedy=CHAIN)
    if getattr(part, "bias", None) is not None:
        raise ArgumentError("a linear layer with a bias", where=at, remedy="train with bias=False")


def _refuse_shared_or_frozen(module: Any, where: str) -> None:
    named: dict[int, str] = {}
    parameters = dict(module.named_parameters())
    for name, parameter in module.state_dict(keep_vars=True).items() if parameters else ():
        if id(parameter) in named:
            what = f"layers {named[id(parameter)]!r} and {name!r} share one weight"
            raise ArgumentError(what, where=where, remedy="give a network whose layers have weights of their own")
        named[id(parameter)] = name
    frozen = [name for name, one in parameters.items() if not getattr(one, "requires_grad", True)]
    if frozen and len(frozen) < len(parameters):
        raise ArgumentError(
            f"layer {frozen[0]!r} is frozen, and others are not",
            where=where,
            remedy="the flow moves every layer: give a network whose layers are all trained",
        )


def of_state_dict(weights: Mapping[Any, Any], where: str, seen: bool = False) -> Named:
    """Names and weights, in order. seen: whether the modules themselves were looked at. Raises ArgumentError for a
    bias, for what is no linear layer's, and for gaps."""
    for name in weights:
        if not isinstance(name, str):
            raise ArgumentError(f"the key {name!r} is no name", where=where, remedy="give a module's state_dict()")
        at, last = f"{where}: layer {name!r}", name.rpartition(".")[2]
        if last == "bias":
            raise ArgumentError("a bias", where=at, remedy="train with bias=False")
        if last != "weight":
            raise ArgumentError(f"a parameter {last!r} is no linear layer's", where=at, remedy=CHAIN)
    if not seen:
        _refuse_gaps(weights, where)
    return list(weights.items())


def _refuse_gaps(names: Mapping[str, Any], where: str) -> None:
    """A Sequential numbers its modules, those without parameters too: a number that is left out is one of these."""
    numbered: dict[str, set[int]] = {}
    for name in names:
        parts = name.split(".")
        for k, part in enumerate(parts):
            if part.isdecimal():
                numbered.setdefault(".".join(parts[:k]), set()).add(int(part))
    for prefix, numbers in numbered.items():
        missing = sorted(set(range(max(numbers))) - numbers)
        if missing:
            name = f"{prefix}.{missing[0]}" if prefix else str(missing[0])
            raise ArgumentError(
                f"module {name!r} has no weights, so it may be an activation: a state dict does not say",
                where=where,
                remedy="give the module itself, or number the linear layers from 0 on",
            )


# --- jax --------------------------------------------------------------------------------------------------------------


def of_parameters(params: Any, where: str) -> Named:
    """Names and arrays of nested dicts and lists, in order. Raises ArgumentError for biases and unknown names."""
    if not isinstance(params, Mapping | list | tuple):
        what = f"{type(params).__name__} is no tree of parameters"
        raise ArgumentError(what, where=where, remedy="give nested dicts or a list of arrays, one a layer")
    return list(_leaves(params, "", where))


def _leaves(tree: Any, path: str, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key in sorted(tree, key=_number) if _is_numbered(tree) else tree:
            name, value = f"{path}/{key}" if path else str(key), tree[key]
            if not isinstance(value, Mapping | list | tuple):
                _refuse_name(str(key), name, where)
            yield from _leaves(value, name, where)
    elif isinstance(tree, list | tuple) and not _is_matrix(tree):
        for k, value in enumerate(tree):
            yield from _leaves(value, f"{path}/{k}" if path else str(k), where)
    else:
        yield path, tree


def _is_matrix(tree: Any) -> bool:
    """Whether a list is rows of numbers: an array that is written out."""
    return len(tree) > 0 and all(
        isinstance(row, list | tuple) and len(row) > 0 and all(isinstance(one, int | float) for one in row)
        for row in tree
    )


def _refuse_name(key: str, name: str, where: str) -> None:
    at = f"{where}: {name!r}"
    if key in ("b", "bias", "biases"):
        raise ArgumentError(
            "a bias", where=at, remedy="train without: use_bias=False in flax, with_bias=False in haiku"
        )
    if key not in KERNELS:
        remedy = f"{CHAIN}: arrays named {', '.join(KERNELS)}, or a list of arrays"
        raise ArgumentError(f"a parameter {key!r} is no linear layer's", where=at, remedy=remedy)


def _number(key: Any) -> int:
    found = re.search(r"(\d+)$", str(key))
    return int(found[1]) if found else -1


def _is_numbered(tree: Mapping[Any, Any]) -> bool:
    """Whether the keys are one name with numbers, "Dense_0", ..., of which jax puts 10 before 2; haiku's first has
    none."""
    stems = {re.sub(r"_?\d+$", "", str(key)) for key in tree}
    return len(stems) == 1
