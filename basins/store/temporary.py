"""The folder of a run that was given no place: it goes when its owner goes, or when Python ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref


class TemporaryFolder:
    """An empty folder among the system's temporary ones, removed with `remove`, with the last reference to this object,
    or at the end of the process that made it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="basins-run-")
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())

    def remove(self) -> None:
        """Remove it now. A second call does nothing."""
        self._finalizer()


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # a fork ends with its own copy of this object, and the folder is not its
        shutil.rmtree(path, ignore_errors=True)
