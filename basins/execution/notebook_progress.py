"""Progress of a run that is called from Python: a bar in a notebook or on a terminal, and nothing elsewhere."""

from __future__ import annotations

import html
import sys
from importlib import import_module
from typing import Any

from basins.errors import ArgumentError
from basins.progress import Event, Listener, RunEnded, RunStarted, Tally, progress, runner_text, speed_text

EVERY = 0.25
"""Seconds between two states that are shown."""


def listener_of(shown: Any) -> Listener | None:
    """The listener of `progress=`: "auto" is silent where nobody looks; True: lines there; False or None: none.

    Raises ArgumentError for another value.
    """
    if shown is None or shown is False:
        return None
    if shown is not True and shown != "auto":
        remedy = 'give "auto", True or False, or functions of your own as listeners=[...]'
        raise ArgumentError(f"progress = {shown!r}", where="progress", remedy=remedy)
    if in_notebook():
        return NotebookProgress()
    return progress() if shown is True or sys.stderr.isatty() else None


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter. IPython is asked only where it is running already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """A bar in the cell's output, with trajectories/s, counts by verdict and the time left; at the end a line that says
    what was done."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.last = self.begun = self.tally.clock()
        self.runner, self.what = "", "trajectories"
        self.handle: Any = None

    def __call__(self, event: Event) -> None:
        self.tally(event)
        now = self.tally.clock()
        text = getattr(event, "text", None)
        if isinstance(text, str):  # a line of its own, whatever kind of event has one
            self._show(Shown(text))
        elif isinstance(event, RunStarted):
            self.runner, self.what, self.begun = runner_text(event), event.what, now
            self._show(self._state())
        elif isinstance(event, RunEnded):
            self._show(self._end(event, now - self.begun))
        elif now - self.last >= EVERY:
            self._show(self._state())
        else:
            return
        self.last = now

    def _show(self, state: Shown) -> None:
        if self.handle is None:
            self.handle = import_module("IPython.display").display(state, display_id=True)
        else:
            self.handle.update(state)

    def _state(self) -> Shown:
        tally = self.tally
        said = f"{tally.done:,}/{tally.trajectories:,} {speed_text(tally)} {tally.verdicts()}"
        return Shown(" ".join(f"{self.runner}: {said}".split()), tally.done, tally.trajectories)

    def _end(self, event: RunEnded, seconds: float) -> Shown:
        tally = self.tally
        found = f": {tally.verdicts()}" if tally.verdicts() else ""
        ended = "" if event.complete else "not complete: "
        return Shown(f"{ended}{tally.done:,} of {tally.trajectories:,} {self.what} in {seconds:.1f} s{found}")


class Shown:
    """A line, with a bar before it where it is still going on."""

    def __init__(self, line: str, done: int | None = None, of: int = 0) -> None:
        self.line, self.done, self.of = line, done, of

    def __repr__(self) -> str:
        return self.line

    def _repr_html_(self) -> str:
        bar = "" if self.done is None else f'<progress value="{self.done}" max="{max(self.of, 1)}"></progress> '
        return f"<div>{bar}<code>{html.escape(self.line)}</code></div>"
