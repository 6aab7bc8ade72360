"""What is worth saying once and is no error: a process that is asked says it, a worker keeps it for its driver.

A note has a kind, and of each kind only the first is said, whatever the number of functions, files and workers that it
holds for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple


class NoteWarning(UserWarning):
    """Something that costs time and changes no result."""


class Note(NamedTuple):
    """One line, and what kind of thing it says."""

    kind: str
    text: str


_first: dict[str, Note] = {}
_keeping = False


def note(kind: str, text: str) -> None:
    """Say a line as a NoteWarning, or keep it where this process is a worker; nothing after the first of its kind."""
    if kind in _first:
        return
    _first[kind] = Note(kind, text)
    if not _keeping:
        warnings.warn(text, NoteWarning, stacklevel=3)


def keep() -> None:
    """From now on notes of this process are kept: its standard error may be seen by nobody."""
    global _keeping
    _keeping = True


def kept() -> tuple[Note, ...]:
    """What was kept so far, for the driver; empty in a process that says its own."""
    return tuple(_first.values()) if _keeping else ()


def pass_on(notes: Iterable[Note]) -> None:
    """Say what a worker kept."""
    for one in notes:
        note(*one)
