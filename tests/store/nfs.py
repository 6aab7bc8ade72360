"""A folder that behaves like one on NFS, for tests. This kernel has no NFS client, so calls of the operating system are
patched to fail as its manual describes.

- The reply to an exclusive create or a rename is lost: the operation was done, but the failure of its second attempt is
  reported (EEXIST, ENOENT). Here this happens to the first of each on every path.
- A handle is stale: the first read of every path raises ESTALE.
- A file that did not exist is remembered as missing until the folder above is opened, which asks the server.
- A folder cannot be synced: EINVAL.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from basins.store import local


class NFS:
    """The calls, patched below one folder. happened: the number of times each fault was injected."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.away = str(root), False
        self.absent: set[str] = set()
        self.seen: set[tuple[str, str]] = set()
        self.happened: Counter[str] = Counter()
        real: dict[str, Callable[..., Any]] = {
            name: getattr(os, name) for name in ("open", "fsync", "replace", "stat", "scandir", "mkdir")
        }
        real["read_bytes"] = Path.read_bytes

        def opened(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
            if self.concerns(path) and flags & os.O_EXCL and self.first("create", final_of(path)):
                os.close(real["open"](path, flags, mode, **options))
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            if flags & os.O_DIRECTORY:
                self.ask(path)
            return int(real["open"](path, flags, mode, **options))

        def synced(descriptor: int) -> None:
            if not self.away and os.path.isdir(f"/proc/self/fd/{descriptor}"):
                self.happened["fsync"] += 1
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            real["fsync"](descriptor)

        def replaced(source: Any, target: Any) -> None:
            real["replace"](source, target)
            if self.concerns(target) and self.first("rename", str(target)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        def looked(path: Any, **options: Any) -> os.stat_result:
            if self.concerns(path) and str(path) in self.absent:
                self.happened["absent"] += 1
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            try:
                found: os.stat_result = real["stat"](path, **options)
            except FileNotFoundError:
                if self.concerns(path):
                    self.absent.add(str(path))
                raise
            return found

        def listed(path: Any = ".") -> Any:
            self.ask(path)
            return real["scandir"](path)

        def made(path: Any, *arguments: Any, **options: Any) -> None:
            self.absent.discard(str(path))
            real["mkdir"](path, *arguments, **options)

        def read(path: Path) -> bytes:
            self.stale(path)
            return bytes(real["read_bytes"](path))

        for name, stand_in in (
            ("open", opened),
            ("fsync", synced),
            ("replace", replaced),
            ("stat", looked),
            ("scandir", listed),
            ("mkdir", made),
        ):
            monkeypatch.setattr(os, name, stand_in)
        monkeypatch.setattr(Path, "read_bytes", read)
        monkeypatch.setattr(local.pa, "OSFile", self.opened_by_arrow(pa.OSFile))

    def opened_by_arrow(self, real: Any) -> Callable[[str], Any]:
        def open(path: str) -> Any:
            self.stale(path)
            return real(path)

        return open

    def concerns(self, path: Any) -> bool:
        return not self.away and isinstance(path, str | Path) and str(path).startswith(self.root)

    def first(self, what: str, path: str) -> bool:
        new = (what, path) not in self.seen
        self.seen.add((what, path))
        self.happened[what] += new
        return new

    def stale(self, path: Any) -> None:
        if self.concerns(path) and os.path.lexists(path) and self.first("stale", str(path)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def ask(self, folder: Any) -> None:
        if self.concerns(folder):
            self.absent = {path for path in self.absent if os.path.dirname(path) != str(folder).rstrip("/")}

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Inside, another machine acts: without faults, and without updating this machine's cache."""
        self.away = True
        yield
        self.away = False


def final_of(path: Any) -> str:
    """The final path of a temporary file."""
    folder, _, name = str(path).rpartition("/")
    return f"{folder}/{name.lstrip('.').split('.tmp')[0].rpartition('.')[0]}"
