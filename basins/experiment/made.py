"""Frozen dataclasses with a constructor for users: made of their own fields here, and changed."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Self


class Made:
    """What a frozen dataclass has besides a constructor that does not take its fields (init=False)."""

    @classmethod
    def made(cls, **values: Any) -> Self:
        """One of these fields, all of them validated; those left out have their defaults."""
        one = object.__new__(cls)
        one._fill(**values)
        return one

    def changed(self, **values: Any) -> Self:
        """The same with other values of these fields, as `dataclasses.replace` would make it."""
        there = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self).made(**{**there, **values})

    def _fill(self, **values: Any) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            if field.name in values:
                value = values.pop(field.name)
            elif field.default is not MISSING:
                value = field.default
            else:
                assert field.default_factory is not MISSING, field.name
                value = field.default_factory()
            object.__setattr__(self, field.name, value)
        assert not values, values
