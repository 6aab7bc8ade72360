"""A law in words."""

from __future__ import annotations

from typing import Any

from basins.laws.base import Law


def law_text(law: Law) -> str:
    """A law in words: "gaussian, scale 0.5"; a full draw goes without saying."""
    said = [f"{name} {_value(value)}" for name, value in law.parameters().items() if (name, value) != ("draw", "full")]
    return ", ".join([law.name, *said])


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(_value(one) for one in value) + "}"
    return value if isinstance(value, str) else f"{value:g}"
