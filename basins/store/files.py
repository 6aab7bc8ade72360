"""The contract of a place where a run's bytes live: a handful of verbs over paths relative to the run.

A tenant provides the methods of `Files` and must keep these promises; everything else in `store/` goes through them.
1. `put` is whole or not at all: no reader ever sees part of a file, whatever is killed when. What it leaves behind
   when killed is debris that no other verb shows and that `sweep` removes.
2. `put` over a file that is there replaces it; two writers of the same bytes do no harm. There is no lock.
3. Once `put` returns, the file survives a crash of the machine.
4. Trouble of the place itself (no permission, no space, no connection) is a RunError that names it and the remedy; a
   file that is not there is a FileNotFoundError. `local.py` is a folder; an object store is one more tenant (one put
   an object, nothing to sweep).
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from basins.errors import RunError
from basins.store.local import LocalFiles


class Files(Protocol):
    """Bytes under paths like "trajectories/case=KEY/part-00000000.parquet"; see this module's docstring."""

    @property
    def uri(self) -> str:
        """Where this is: what a worker on another machine opens."""
        ...

    def put(self, path: str, data: Any) -> None:
        """Make `data` (bytes or a pyarrow Buffer) the content of `path`, durably."""
        ...

    def get(self, path: str) -> bytes:
        """The content of `path`. Raises FileNotFoundError."""
        ...

    def open(self, path: str) -> Any:
        """`path` as a pyarrow NativeFile for reading parts of it. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool: ...

    def paths(self, prefix: str) -> list[str]:
        """Every path that begins with `prefix` (a folder, with its "/"; or "" for all), sorted, debris left out."""
        ...

    def delete(self, path: str) -> None:
        """Remove `path`; nothing happens where it is not there."""
        ...

    def sweep(self) -> list[str]:
        """Remove the debris of interrupted puts; what was removed, sorted."""
        ...


def files_at(run: str | os.PathLike[str]) -> Files:
    """The files of the run at a local path. Raises RunError for a URI that has no tenant yet."""
    uri = os.fspath(run)
    scheme, found, rest = uri.partition("://")
    if not found:
        return LocalFiles(uri)
    if scheme == "file":
        return LocalFiles(rest)
    raise RunError(f"no store for {scheme}:// addresses", where=uri, remedy="give a local path")
