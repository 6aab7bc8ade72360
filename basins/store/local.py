"""A run in a folder: temporary name in the same folder, write, fsync, rename, fsync of the folder. It works on NFS too:
files.py lists what can go wrong there, and comments marked NFS show where it is handled."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from basins.errors import RunError
from basins.store import layout

T = TypeVar("T")

SWEPT = 100
"""The number of attempts of `put` when another driver's sweep removes its temporary file as debris."""

STALE = 5
"""NFS: the number of attempts of an operation that meets a stale handle."""


class LocalFiles:
    """Files under one folder, which `put` creates if needed. The names of temporary files begin with a dot, so that
    Parquet readers of the whole folder ignore them."""

    def __init__(self, root: str) -> None:
        self.root = Path(os.path.abspath(root))

    @property
    def uri(self) -> str:
        return str(self.root)

    def put(self, path: str, data: Any) -> None:
        final = self.root / path
        for _ in range(SWEPT):
            temporary = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
            try:
                self._folder(final.parent)
                try:
                    self._write(temporary, data)
                    os.replace(temporary, final)
                except (FileExistsError, FileNotFoundError):
                    # The file to create exists, or the file to rename is gone. Either a second driver that has just
                    # started on this run swept it, or (NFS) the operation was done and its reply lost. Try again.
                    continue
                self._sync(final.parent)
                return
            except OSError as error:
                if error.errno == errno.ESTALE:  # NFS: another machine made the folder anew
                    continue
                raise self._refusal(error, f"cannot write {path}") from error
            finally:
                with suppress(OSError):
                    os.unlink(temporary)
        raise RunError(
            f"cannot write {path}: its temporary file was removed {SWEPT} times",
            where=self.uri,
            remedy="find out which program cleans this folder",
        )

    def get(self, path: str) -> bytes:
        return self._read(path, lambda: (self.root / path).read_bytes())

    def open(self, path: str) -> Any:
        return self._read(path, lambda: pa.OSFile(str(self.root / path)))

    def exists(self, path: str) -> bool:
        try:
            return self._read(path, lambda: self._is_file(self.root / path))
        except FileNotFoundError:
            return False

    def paths(self, prefix: str) -> list[str]:
        return [path for path in self._walk(prefix) if not _is_debris(path)]

    def delete(self, path: str) -> None:
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as error:
            raise self._refusal(error, f"cannot delete {path}") from error

    def sweep(self) -> list[str]:
        debris = [path for path in self._walk("") if _is_debris(path)]
        for path in debris:
            self.delete(path)
        return debris

    def _read(self, path: str, attempt: Callable[[], T]) -> T:
        for k in range(STALE):
            try:
                return attempt()
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(path) from None
            except OSError as error:
                if error.errno != errno.ESTALE or k == STALE - 1:
                    raise self._unreadable(error, f"cannot read {path}") from error
        raise AssertionError

    def _is_file(self, final: Path) -> bool:
        try:
            found = os.stat(final)
        except FileNotFoundError:
            # NFS: this machine's cache may be out of date. Opening the folder asks the server.
            os.close(os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY))
            found = os.stat(final)
        return stat.S_ISREG(found.st_mode)

    def _walk(self, prefix: str) -> list[str]:
        # There may be hundreds of thousands of names, so the prefix is computed once per folder, not once per file.
        found: list[str] = []
        for folder, _, names in os.walk(self.root / prefix, onerror=self._unless_missing):
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            found.extend(names if inside == "." else [f"{inside}/{name}" for name in names])
        return sorted(found)

    def _unless_missing(self, error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise self._unreadable(error, "cannot list the run") from error

    def _folder(self, folder: Path) -> None:
        """Create a folder and its parents, and sync each to disk before anything is put into it."""
        if folder.is_dir():
            return
        self._folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self._sync(folder.parent)

    def _write(self, path: Path, data: Any) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _sync(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system whose folders cannot be synced
                raise
        finally:
            os.close(descriptor)

    def _unreadable(self, error: OSError, what: str) -> RunError:
        remedies = {
            errno.EISDIR: "move that folder away, and put the file back",
            errno.EACCES: "let this user read it, or run as the user who may",
            errno.EPERM: "let this user read it, or run as the user who may",
        }
        remedy = remedies.get(error.errno or 0, "check the disk")
        return RunError(f"{what}: {error.strerror or error}", where=self.uri, remedy=remedy)

    def _refusal(self, error: OSError, what: str) -> RunError:
        return RunError(
            f"{what}: {error.strerror or error}",
            where=self.uri,
            remedy="give a folder that can be written and has space",
        )


def _is_debris(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".tmp") and not layout.is_system_file(name)
