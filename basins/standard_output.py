"""Makes standard output and error usable in any state: closed, a broken pipe, or a locale that lacks our letters.

If the reader of standard output is gone, a command that writes to it ends with status 141, as with SIGPIPE. Messages on
standard error accompany the work, which continues to its end even if nobody reads them.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from basins.errors import BasinsError

PIPE_CLOSED = 141
"""The exit status of a command whose reader is gone: 128 plus the number of SIGPIPE, which Python ignores."""

PLAIN = {
    "\N{HORIZONTAL ELLIPSIS}": "...", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{EM DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x", "\N{MIDDLE DOT}": "*", "\N{VULGAR FRACTION ONE HALF}": "1/2",
    "\N{LESS-THAN OR EQUAL TO}": "<=", "\N{GREATER-THAN OR EQUAL TO}": ">=", "\N{RIGHTWARDS ARROW}": "->",
    "\N{N-ARY SUMMATION}": "sum", "\N{GREEK CAPITAL LETTER SIGMA}": "Sigma", "\N{GREEK SMALL LETTER SIGMA}": "sigma",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-", "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-", "\N{BULLET}": "*",
}  # fmt: skip
"""Replacements for letters that the locale's encoding lacks; any other letter becomes \\xe9, \\u03b1, ..."""


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    written = "".join(PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in letters)
    return written, error.end


codecs.register_error("basins.plainly", _plainly)


class Stream:
    """A text stream whose reader may be gone. ends: whether a lost reader ends the command."""

    buffer = None  # otherwise click bypasses this and writes its own encoding

    def __init__(self, stream: Any, ends: bool) -> None:
        self.stream, self.ends = stream, ends
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        if text == "":  # click tests a stream like this, and swallows the exception
            return 0
        try:
            return int(self.stream.write(text))
        except OSError as error:
            self._lose(error)
            return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)

    @property
    def pipe_closed(self) -> bool:
        return isinstance(self.lost, BrokenPipeError)

    def _lose(self, error: OSError) -> None:
        """Handle a lost reader or a failed write. Raises SystemExit or BasinsError if that ends the command."""
        self.lost = error
        with suppress(OSError):  # a stream without a descriptor
            # Discard what is still in the buffer: Python flushes it once more at the end, which would raise an error.
            here, nowhere = self.stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, here)
            os.close(nowhere)
        if self.pipe_closed and self.ends:
            raise SystemExit(PIPE_CLOSED)
        if self.ends:
            raise BasinsError(
                f"cannot be written: {error.strerror or error}", where="standard output", remedy="send it elsewhere"
            )


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, standard output and error exist, accept every letter, and survive the loss of their readers."""
    _open_closed()
    streams = sys.stdout, sys.stderr
    how = [getattr(stream, "errors", None) for stream in streams]
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="basins.plainly")
    out, err = Stream(sys.stdout, ends=True), Stream(sys.stderr, ends=False)
    sys.stdout, sys.stderr = out, err
    ended: SystemExit | None = None
    try:
        try:
            yield
        except SystemExit as end:
            if end.code:
                raise
            ended = end
        out.flush()
        err.flush()
        if err.pipe_closed:
            raise SystemExit(PIPE_CLOSED)
        if ended is not None:
            raise ended
    finally:
        out.ends = False  # a refusal's status stays
        out.flush()
        sys.stdout, sys.stderr = streams
        for stream, errors in zip(streams, how, strict=True):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors=errors)


def _open_closed() -> None:
    """Open the null device in place of a closed stream, because the next opened file would get its descriptor."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(opened, True)  # workers would have the same problem
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def takes_utf8() -> bool:
    """Whether standard output is UTF-8; JSON must be UTF-8 or ASCII."""
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
