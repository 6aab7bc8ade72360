"""The user's home, which a process in a container may not have: no HOME, and a number that no user has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def in_home(*parts: str) -> Path | None:
    """A path in the home of this user; None where there is none."""
    with suppress(RuntimeError):
        return Path.home().joinpath(*parts)
    return None


def is_there(path: Path | None) -> bool:
    """Whether there is such a file, as far as this user is let see: HOME may be another user's."""
    with suppress(OSError):
        return path is not None and path.exists()
    return False


def with_home(path: str | os.PathLike[str]) -> str:
    """The path with a leading ~ as the user's home; as it is where there is none, or no such user."""
    return os.path.expanduser(path)
