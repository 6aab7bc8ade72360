"""The user's home folder, which a process in a container may lack: no HOME, and a user id without an account."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def in_home(*parts: str) -> Path | None:
    """A path in this user's home folder; None if there is none."""
    with suppress(RuntimeError):
        return Path.home().joinpath(*parts)
    return None


def is_there(path: Path | None) -> bool:
    """Whether the file exists, as far as this user may see: HOME may belong to another user."""
    with suppress(OSError):
        return path is not None and path.exists()
    return False


def with_home(path: str | os.PathLike[str]) -> str:
    """The path with a leading ~ as the user's home; as it is where there is none, or no such user."""
    return os.path.expanduser(path)
