"""Initial laws and their random streams, which determine the start of each id.

A law with a density gives every null set probability zero; `near_planted` is one, at any distance. A null law (`null`
is true: planted, balanced) draws from a set of measure zero. It is a control, and never part of a pool, a bound or a
verdict on the conjecture.

Ids come in blocks of 1,024 consecutive ones. A block is one Philox stream (see random/philox.py, `centred_uniforms`)
with the key (seed, `stream_key`) and the block in a separate counter word, drawn at once, row by row. So the same id of
the same problem, law and seed is the same start, bit for bit, whatever the engine, the shard or the machine. No linear
algebra library and no libm is involved.

Widths are those of the problem, after the reduction of rank-deficient data. In the reduced flow the weights are drawn
in the reduced coordinates. The fans of `lecun`, `he` and `xavier` are these widths.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from basins.errors import ArgumentError, nearest
from basins.laws.balanced import Balanced
from basins.laws.base import Law
from basins.laws.blocks import BLOCK, starts, stream_key
from basins.laws.independent import Gaussian, He, Lecun, Uniform, Xavier
from basins.laws.planted import NearPlanted, Planted
from basins.laws.words import law_text

__all__ = [
    "BLOCK",
    "LAWS",
    "Balanced",
    "Gaussian",
    "He",
    "Law",
    "Lecun",
    "NearPlanted",
    "Planted",
    "Uniform",
    "Xavier",
    "law_of",
    "law_text",
    "starts",
    "stream_key",
]

LAWS: dict[str, type[Law]] = {
    law.name: law for law in (Gaussian, Uniform, Lecun, He, Xavier, NearPlanted, Balanced, Planted)
}


def law_of(name: str, **parameters: Any) -> Law:
    """The law with this name and these parameters. Raises ArgumentError for an unknown name or parameter (suggesting
    the nearest) and for a missing parameter."""
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
