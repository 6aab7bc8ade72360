"""The exceptions of basins.

Every refusal is one line with three parts: what is wrong, where, and what to do. The command line prints it and exits
with status 2. In Python it is an exception that is also a subclass of the built-in one that a caller would expect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BasinsError(Exception):
    """A refusal. what: what is wrong; where: where it was found; remedy: what to do about it."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        line = f"{where}: {what}" if where else what
        super().__init__(f"{line}; {remedy}" if remedy else line)

    def __reduce__(self) -> tuple[object, ...]:
        # The constructor takes keywords, so default pickling would lose two parts on the way back from a worker.
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[BasinsError], what: str, where: str, remedy: str) -> BasinsError:
    return kind(what, where=where, remedy=remedy)


class DataError(BasinsError, ValueError):
    """Data that is missing, of the wrong type, or not finite."""


class AssumptionError(BasinsError, ValueError):
    """A problem outside the paper's Assumptions 1 to 3; `what` begins with the assumption's number."""


class ArgumentError(BasinsError, ValueError):
    """An invalid argument of the public API: a negative tolerance, a state of the wrong size, an unknown name."""


class ExperimentError(BasinsError, ValueError):
    """An experiment file that is not valid."""


class MissingExtraError(BasinsError, ImportError):
    """A package that an extra installs is missing, or cannot be imported; the remedy has the line for pip."""


class RunError(BasinsError, RuntimeError):
    """A run that cannot continue: it belongs to another experiment, is damaged, not writable, or lacks a shard."""


class AssumptionWarning(UserWarning):
    """An assumption whose failure does no harm: tied subset sums (Assumption 4)."""


LISTED = 24
"""The most names that a remedy lists."""


def nearest(name: object, known: Iterable[object]) -> str:
    """A remedy for an unknown name: the nearest known name, or all of them; if there are many, the first ones."""
    names = [str(one) for one in known]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.65)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return f"choose one of {', '.join(names[:LISTED])}{more}"
