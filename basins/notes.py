"""Notes: remarks that are not errors and are shown once. A process shows its notes; a worker keeps them for its driver.

A note has a kind, and only the first note of each kind is shown, whatever the number of functions, files and workers
that it applies to.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple


class NoteWarning(UserWarning):
    """Something that costs time but changes no result."""


class Note(NamedTuple):
    """One line of text, and its kind."""

    kind: str
    text: str


_first: dict[str, Note] = {}
_keeping = False


def note(kind: str, text: str) -> None:
    """Issue a line as a NoteWarning, or keep it if this process is a worker. Only the first of each kind has effect."""
    if kind in _first:
        return
    _first[kind] = Note(kind, text)
    if not _keeping:
        warnings.warn(text, NoteWarning, stacklevel=3)


def keep() -> None:
    """From now on keep this process's notes, since its standard error may not be visible to anyone."""
    global _keeping
    _keeping = True


def kept() -> tuple[Note, ...]:
    """The notes kept so far, for the driver; empty in a process that shows its own."""
    return tuple(_first.values()) if _keeping else ()


def pass_on(notes: Iterable[Note]) -> None:
    """Issue the notes that a worker kept."""
    for one in notes:
        note(*one)
