"""Frozen dataclasses from the keys of a table: what a landscape or a dynamics outside the package is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from basins.errors import ArgumentError

T = TypeVar("T")


def from_table(cls: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass of these keys; a field with a default may be left out.

    Raises ArgumentError for a key that is no field, a missing one, and a value of another type. The meaning of a value
    is for `__post_init__` to check.
    """
    types = field_types(cls)
    for name in (*values, *_without_default(cls)):
        if name not in types:
            remedy = f"{cls.__name__} has {', '.join(types)}"
            raise ArgumentError("no such key", where=name, remedy=remedy)
        if name not in values:
            raise ArgumentError(f"{cls.__name__} needs it", where=name, remedy=f"give {types[name].__name__}")
        given, asked = values[name], types[name]
        if type(given) is not asked and not (asked is float and type(given) is int):
            raise ArgumentError(f"{given!r}", where=name, remedy=f"give {asked.__name__}")
    return cls(**{name: types[name](value) for name, value in values.items()})


def field_types(cls: type) -> dict[str, type]:
    """The fields of a dataclass with their types."""
    hints = get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls)}


def _without_default(cls: type) -> list[str]:
    """The names of a dataclass's fields that must be given."""
    return [one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING]
