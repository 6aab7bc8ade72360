"""Keys that were added after runs existed: they are written only if they differ from their default.

The text of an experiment, the keys of its cases and the footers of its shards spell out every setting. If a key that
is added later were spelt out too, every one of them would change, and no old run could be resumed, grown or compared.
So a field that is added to `Settings`, to a law or to a table of the experiment is declared with `LATER`, and the
functions here leave it out while it has its default. tests/test_later_keys.py adds one of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

LATER = {"later": True}
"""Metadata of a dataclass field, or `json_schema_extra` of a pydantic field, that was added after runs existed."""


def defaults_of_later_fields(dataclass: Any) -> dict[str, Any]:
    """Name -> default, of the fields of a dataclass (or an instance of one) that are declared with LATER."""
    return {
        field.name: field.default
        for field in fields(dataclass)
        if field.metadata.get("later") and field.default is not MISSING
    }


def without_defaults(values: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The values, without those of `later` (name -> default) that have their default."""
    return {name: value for name, value in values.items() if name not in later or value != later[name]}
