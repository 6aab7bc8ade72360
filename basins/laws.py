"""Initial laws and their random streams: which point has which id.

A law with a density draws weights that no null set can hold; `near_planted` is one, at any distance. A null
law (`null` is true: planted, balanced) draws from a set of measure zero: a control, never part of a pool, a
bound or a verdict on the conjecture.

Ids come in blocks of 1,024 consecutive ones. A block is one Philox stream (see `normal.centred_uniforms`)
with key (seed, `stream_key`) and the block in a counter word of its own, drawn all at once and row by row: so
the same id of the same problem, law and seed is the same initial point, bit for bit, whatever the engine, the
shard or the machine. No linear algebra library and no libm has a hand in it.

Widths are the problem's: after the reduction of rank-deficient data, and in the reduced flow the weights are
drawn in the reduced coordinates. The fans of `lecun`, `he` and `xavier` are these widths.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from basins import compressed_draw
from basins.errors import ArgumentError, nearest
from basins.normal import Array, centred_uniforms, normals
from basins.problem import Problem

BLOCK = 1024
"""Ids that share one Philox stream."""

Scale = float | tuple[float, ...]

DRAWS = ("full", "compressed")


class Law:
    """The probability measure of initial weights. Laws are frozen dataclasses; their fields are their
    parameters."""

    name: ClassVar[str]
    null: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        """The parameters as given, JSON-able: `law_of(law.name, **law.parameters()) == law`."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def canonical(self, problem: Problem) -> dict[str, Any]:
        """Name and parameters, one spelling a law: a scale given a layer and the same in each is that one
        scale."""
        parameters = self.parameters()
        scale = parameters.get("scale")
        if isinstance(scale, list) and len(set(scale)) == 1:
            parameters["scale"] = scale[0]
        return {"name": self.name, **parameters}

    def check(self, problem: Problem) -> None:
        """Raises ArgumentError where this law makes no sense on the problem."""

    def draws(self, problem: Problem) -> int:
        """Uniform numbers that one initial point takes."""
        return problem.n

    def sample(self, problem: Problem, q: Array) -> Array:
        """Initial points (N, n) of centred uniforms q (N, draws) in (-1/2, 1/2), row by row."""
        raise NotImplementedError


@dataclass(frozen=True)
class Gaussian(Law):
    """Independent normal entries of standard deviation `scale`, one for all layers or one a layer (W_1 first).

    draw: "full", or "compressed" to draw the compressed factors directly, where a width shrinks (theory.md 4): fewer
    numbers, the same law of all that is recorded, other points (compressed_draw.py).
    """

    scale: Scale
    draw: str = "full"
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _scale(self.scale))
        if self.draw not in DRAWS:
            raise ArgumentError(f"draw = {self.draw!r}", where="draw", remedy=nearest(self.draw, DRAWS))

    def canonical(self, problem: Problem) -> dict[str, Any]:
        """As every law's; a full draw goes without saying."""
        return {key: value for key, value in super().canonical(problem).items() if (key, value) != ("draw", "full")}

    def check(self, problem: Problem) -> None:
        _check_scales(self.scale, problem)
        if self.draw == "compressed":
            compressed_draw.compression_of(problem)

    def draws(self, problem: Problem) -> int:
        return compressed_draw.draws(problem) if self.draw == "compressed" else problem.n

    def sample(self, problem: Problem, q: Array) -> Array:
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,) * len(problem.shapes)
        if self.draw == "compressed":
            return compressed_draw.sample(problem, scales, q)
        return _scaled(problem, normals(q), scales)


@dataclass(frozen=True)
class Uniform(Law):
    """Independent entries, uniform in [-box, box]."""

    box: float
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _positive("box", self.box))

    def sample(self, problem: Problem, q: Array) -> Array:
        return (2.0 * self.box) * q


@dataclass(frozen=True)
class _Fan(Law):
    """Independent normal entries whose variance follows from the layer's widths."""

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        raise NotImplementedError

    def sample(self, problem: Problem, q: Array) -> Array:
        variances = [self.variance(columns, rows) for rows, columns in problem.shapes]
        return _scaled(problem, normals(q), tuple(float(np.sqrt(v)) for v in variances))


@dataclass(frozen=True)
class Lecun(_Fan):
    """Normal entries of variance 1 / fan_in, fan_in = d_{j-1} (LeCun et al., Efficient BackProp, 1998)."""

    name: ClassVar[str] = "lecun"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


@dataclass(frozen=True)
class He(_Fan):
    """Normal entries of variance 2 / fan_in, fan_in = d_{j-1} (He et al., 2015)."""

    name: ClassVar[str] = "he"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


@dataclass(frozen=True)
class Xavier(_Fan):
    """Normal entries of variance 2 / (fan_in + fan_out), d_{j-1} + d_j (Glorot and Bengio, 2010)."""

    name: ClassVar[str] = "xavier"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


@dataclass(frozen=True)
class Planted(Law):
    """Null: on the stable manifold of the saddles that fit `modes` (theory.md 6.7), the rest as `Gaussian`.

    With S = modes (0-based positions in sigma), the S^c columns of W_1 among the first d_y and the S^c rows
    of W_{H+1} are zero, bitwise, and the reduced flow keeps them so: the limit is on I_S. Elsewhere X X^T
    mixes the columns and it escapes, so it is refused there.
    """

    modes: tuple[int, ...]
    scale: Scale = 1.0
    name: ClassVar[str] = "planted"
    null: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", _modes(self.modes))
        object.__setattr__(self, "scale", _scale(self.scale))

    def check(self, problem: Problem) -> None:
        _check_plant(self.modes, self.scale, problem)

    def sample(self, problem: Problem, q: Array) -> Array:
        W = Gaussian(self.scale).sample(problem, q)
        W[:, _planted_entries(problem, self.modes)] = 0.0
        return W


@dataclass(frozen=True)
class NearPlanted(Law):
    """Beside the stable manifold of the saddles that fit `modes`: as `Planted`, but where it has zeros there are normal
    entries of standard deviation distance / sqrt(k), k their number.

    distance: the root mean square of the Euclidean distance to the planted starts, a linear space of codimension k;
    the starts pass those saddles the more closely the smaller it is. The law has a density, so it is not null and
    says of the conjecture what any other does: of its own mixture of starts, most of them near one stable manifold.
    """

    modes: tuple[int, ...]
    distance: float
    scale: Scale = 1.0
    name: ClassVar[str] = "near_planted"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", _modes(self.modes))
        object.__setattr__(self, "distance", _positive("distance", self.distance))
        object.__setattr__(self, "scale", _scale(self.scale))

    def check(self, problem: Problem) -> None:
        _check_plant(self.modes, self.scale, problem)

    def sample(self, problem: Problem, q: Array) -> Array:
        W = Gaussian(self.scale).sample(problem, q)
        planted = _planted_entries(problem, self.modes)
        W[:, planted] = (self.distance / np.sqrt(np.count_nonzero(planted))) * normals(q[:, planted])
        return W


@dataclass(frozen=True)
class Balanced(Law):
    """Null: every invariant C_j = W_{j+1}^T W_{j+1} - W_j W_j^T is zero up to rounding.

    W_j = U_j S U_{j-1}^T, U_j (d_j, r) with orthonormal columns, uniform (Haar), r the smallest width, S (r,
    r) diagonal with entries scale |z|, z standard normal; one S and, between two layers, one U_j, so that
    both products are U_j S^2 U_j^T.
    """

    scale: float = 1.0
    name: ClassVar[str] = "balanced"
    null: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _positive("scale", self.scale))

    def draws(self, problem: Problem) -> int:
        return (sum(problem.widths) + 1) * min(problem.widths)

    def sample(self, problem: Problem, q: Array) -> Array:
        r = min(problem.widths)
        z = np.ascontiguousarray(normals(q).T)  # (draws, N): each operation below is one over the N
        S = self.scale * np.abs(z[:r])
        frames, at = [], r
        for d in problem.widths:
            frames.append(_orthonormal(z[at : at + d * r].reshape(d, r, -1)))
            at += d * r
        W = np.empty((len(q), problem.n))
        layers = problem.unpack(W)  # views
        for W_j, U_j, U_before in zip(layers, frames[1:], frames, strict=False):
            product = np.zeros((len(U_j), len(U_before), len(q)))
            for k in range(r):
                product += (U_j[:, k] * S[k])[:, None] * U_before[None, :, k]
            W_j[...] = product.transpose(2, 0, 1)
        return W


LAWS: dict[str, type[Law]] = {
    law.name: law for law in (Gaussian, Uniform, Lecun, He, Xavier, NearPlanted, Balanced, Planted)
}


def law_of(name: str, **parameters: Any) -> Law:
    """The law of a name and parameters. Raises ArgumentError for one that is unknown, naming the nearest, or
    missing."""
    if not isinstance(name, str) or name not in LAWS:
        raise ArgumentError(f"unknown law {name!r}", where="name", remedy=nearest(name, LAWS))
    kind = LAWS[name]
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for parameter in parameters:
        if parameter not in known:
            remedy = nearest(parameter, known) if known else "it has no parameters"
            raise ArgumentError(f"law {name!r} has no parameter {parameter!r}", where=parameter, remedy=remedy)
    for parameter, field in known.items():
        if field.default is MISSING and parameter not in parameters:
            raise ArgumentError(f"law {name!r} needs {parameter}", where=parameter, remedy=f"give {parameter}")
    return kind(**parameters)


def stream_key(problem: Problem, law: Law) -> int:
    """The case's word of the Philox key: the first 64 bits of SHA-256 over the problem's digest and the law,
    not the engine."""
    canonical = json.dumps(law.canonical(problem), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(f"{problem.digest} {canonical}".encode()).digest()[:8], "big")


def starts(problem: Problem, law: Law, seed: int, block: int) -> Array:
    """Initial points (1024, n) of the ids block * 1024, ..., block * 1024 + 1023. A block cut short is a
    prefix of it."""
    for name, word in (("seed", seed), ("block", block)):
        if isinstance(word, bool) or not isinstance(word, (int, np.integer)) or not 0 <= word < 1 << 64:
            raise ArgumentError(f"{name} = {word!r}", where=name, remedy="give a whole number from 0 to 2^64 - 1")
    law.check(problem)
    draws = law.draws(problem)
    q = centred_uniforms(int(seed), stream_key(problem, law), int(block), BLOCK * draws)
    return law.sample(problem, q.reshape(BLOCK, draws))


# --- parameters -------------------------------------------------------------------------------------------


def _positive(name: str, value: Any) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value <= float(np.finfo(np.float64).max):
        raise ArgumentError(f"{name} = {value!r}", where=name, remedy=f"give a {name} above zero and finite")
    return float(value)


def _scale(value: Any) -> Scale:
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_positive("scale", one) for one in value)
    return _positive("scale", value)


def _modes(value: Any) -> tuple[int, ...]:
    whole = isinstance(value, (list, tuple, set, frozenset, range)) and all(
        isinstance(i, (int, np.integer)) and not isinstance(i, bool) and i >= 0 for i in value
    )
    if not whole or len(set(value)) != len(value):
        raise ArgumentError(
            f"modes = {value!r}",
            where="modes",
            remedy="give distinct 0-based positions in sigma, such as [0]",
        )
    return tuple(sorted(int(i) for i in value))


def _check_plant(modes: tuple[int, ...], scale: Scale, problem: Problem) -> None:
    """Whether a start may be planted on these modes, or beside them."""
    _check_scales(scale, problem)
    if problem.flow != "reduced":
        raise ArgumentError(
            f"a planted start escapes in the {problem.flow} flow: X X^T mixes the columns of W_1",
            where="name",
            remedy='set flow = "reduced", or choose another law',
        )
    if modes and modes[-1] >= problem.d_y:
        raise ArgumentError(
            f"mode {modes[-1]} is not among 0..{problem.d_y - 1}",
            where="modes",
            remedy="modes are 0-based positions in sigma",
        )
    if len(modes) == problem.d_y:
        raise ArgumentError(
            f"modes {list(modes)} are all {problem.d_y}, and fitting all is no saddle",
            where="modes",
            remedy="leave at least one out",
        )


def _check_scales(scale: Scale, problem: Problem) -> None:
    if isinstance(scale, tuple) and len(scale) != len(problem.shapes):
        raise ArgumentError(
            f"{len(scale)} scale(s) for {len(problem.shapes)} layers",
            where="scale",
            remedy=f"give one scale, or {len(problem.shapes)}, that of W_1 first",
        )


# --- drawing ----------------------------------------------------------------------------------------------


def _planted_entries(problem: Problem, modes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Entries (n,) of the S^c columns of W_1, among the first d_y, and of the S^c rows of W_{H+1}."""
    entries = np.zeros(problem.n, dtype=bool)
    columns, rows = entries[: problem.hidden[0] * problem.d_x], entries[-problem.d_y * problem.hidden[-1] :]
    unfitted = [i for i in range(problem.d_y) if i not in modes]
    columns.reshape(-1, problem.d_x)[:, unfitted] = True
    rows.reshape(problem.d_y, -1)[unfitted] = True
    return entries


def _scaled(problem: Problem, z: Array, scales: tuple[float, ...]) -> Array:
    """z (N, n) with layer j multiplied by scales[j - 1]."""
    entries = [rows * columns for rows, columns in problem.shapes]
    weights: Array = z * np.repeat(np.array(scales), entries)
    return weights


def _orthonormal(A: Array) -> Array:
    """The Q, (d, r, N), of the QR factorisations of A (d, r, N), r <= d, with R's diagonal positive: Haar for
    Gaussian A.

    Gram-Schmidt, each column twice (orthogonal to rounding: Giraud et al., 2005), because LAPACK's bits
    depend on the CPU.
    """
    Q = np.empty_like(A)
    for k in range(A.shape[1]):
        column = A[:, k].copy()
        for _ in range(2):
            for l in range(k):  # noqa: E741
                column -= _dot(Q[:, l], column) * Q[:, l]
        Q[:, k] = column / np.sqrt(_dot(column, column))
    return Q


def _dot(a: Array, b: Array) -> Array:
    """Inner products over the first axis, (d, N) to (N,), summed in order: np.sum's order is numpy's
    business."""
    total: Array = a[0] * b[0]
    for i in range(1, len(a)):
        total = total + a[i] * b[i]
    return total
