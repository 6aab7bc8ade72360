"""What a key of an experiment is for. It is said where the key is declared, as metadata of its annotation, and read by
the reference (experiment/reference.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Key:
    """meaning: what the key says, in a sentence or two; unit: of its value, "" where it has none; example: a value;
    kind: the value's type in words, where the annotation does not say it.
    """

    meaning: str
    unit: str
    example: Any
    kind: str = ""


def key_of(metadata: tuple[Any, ...] | list[Any]) -> Key | None:
    """The Key among the metadata of an annotation."""
    return next((one for one in metadata if isinstance(one, Key)), None)
