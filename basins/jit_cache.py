"""numba's compiler with an optional cache on disk: code that cannot be read or written is compiled again.

`njit(..., cache=True)` here is numba's own except for the cache. numba trusts its files: an emptied index ends the
program, a flipped bit in machine code is executed, and of two hosts that save at once, each may find the other's code
under its own key. Here every file begins with the SHA-256 of the rest, a file of code contains the key that it was
compiled for and is named by it, and any failure is a cache miss, reported once (notes.py). An installation that cannot
be written is still read, so that an image can contain compiled code. numba checks the modification time of the
function's own file; here the index has a digest of every file that the machine code depends on (`sources_digest`).
"""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import pickle
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.core.caching
import numba.core.config

from basins.notes import note

caching: Any = numba.core.caching  # only partly typed
config: Any = numba.core.config

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent
COMPILES = "from basins.jit_cache import njit"
"""The line that marks a file as one that compiles functions."""

SET = "set NUMBA_CACHE_DIR to a folder that can be written"
SIZE = hashlib.sha256().digest_size


def njit(*signatures: Any, cache: bool = False, **options: Any) -> Callable[[F], F]:
    """numba.njit with this module's cache. signatures: compiled at once; no others are compiled later."""

    def decorate(function: F) -> F:
        dispatcher: Any = numba.njit(**options)(function)
        if cache and not config.DISABLE_JIT:
            _attach_cache(dispatcher)
        if signatures and not config.DISABLE_JIT:
            for signature in signatures:
                dispatcher.compile(signature)
            dispatcher.disable_compile()
        compiled: F = dispatcher
        return compiled

    return decorate


def _attach_cache(dispatcher: Any) -> None:
    """Give the dispatcher a cache on disk, if there is a place for one."""
    try:
        dispatcher._cache = _Cache(dispatcher.py_func)
    except (RuntimeError, OSError):  # there is no place, or the source is gone
        note(
            "no cache",
            "no place to keep compiled code: neither the installation nor a home can be written, so every process "
            f"compiles it anew; {SET}",
        )


class Damaged(Exception):
    """A file of the cache is not what was written."""


# --- its location ----------------------------------------------------------------------------------------------------


class _UserWide(caching.UserWideCacheLocator):  # type: ignore[misc]
    """In the user's home, if there is one. Without a home numba would make a folder called ~ in the working folder."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        there = os.path.isabs(cls(py_func, py_file).get_cache_path())
        return super().from_function(py_func, py_file) if there else None


class _ReadOnly(caching.InTreeCacheLocator):  # type: ignore[misc]
    """Beside the source, if that can be read but not written."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        self = cls(py_func, py_file)
        try:
            compiled = any(name.endswith(".nbi") for name in os.listdir(self.get_cache_path()))
        except OSError:
            return None
        return self if compiled else None


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (
        caching.UserProvidedCacheLocator,
        caching.InTreeCacheLocator,
        _UserWide,
        _ReadOnly,
        caching.ZipCacheLocator,
    )

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        if config.CACHE_DIR and not isinstance(self.locator, caching.UserProvidedCacheLocator):
            folder = self.locator.get_cache_path()
            note("other cache", f"NUMBA_CACHE_DIR={config.CACHE_DIR} cannot be written; {folder} is used; {SET}")

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """A name different from numba's own, whose files have no digest."""
        return f"{super().get_filename_base(fullname, abiflags)}.checked"


# --- its files -------------------------------------------------------------------------------------------------------


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """An index and files of code, each with its digest in front."""

    def save(self, key: Any, data: Any) -> None:
        # Named by signature and CPU, not numbered, so that hosts that save at once do not use each other's file.
        name = self._data_name(hashlib.sha256(repr(key[:2]).encode()).hexdigest()[:16])
        self._write(self._data_path(name), (self._version, self._source_stamp, key, data))
        try:
            known = self._load_index()
        except Damaged:
            known = {}
        if known.get(key) != name:
            self._save_index({**known, key: name})

    def load(self, key: Any) -> Any:
        name = self._load_index().get(key)
        if name is None:
            return None
        try:
            found = self._read(self._data_path(name), of=3)
        except FileNotFoundError:
            return None
        return found[-1] if found[:-1] == (self._version, self._source_stamp, key) else None

    def _data_name(self, digest: str) -> str:
        return f"{self._index_name.removesuffix('.nbi')}.{digest}.nbc"

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, known = self._read(self._index_path)
        except FileNotFoundError:
            return {}
        return known if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, known: dict[Any, str]) -> None:
        self._write(self._index_path, (self._version, self._source_stamp, known))

    def _write(self, path: str, parts: tuple[Any, ...]) -> None:
        # Pickled separately: another version can read only the first part.
        data = b"".join(map(self._dump, parts))
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(data).digest() + data)

    def _read(self, path: str, of: int = 2) -> tuple[Any, ...]:
        """The parts of a file: `of` parts that identify it, then the rest if it belongs to this version.

        Raises Damaged, FileNotFoundError.
        """
        with open(path, "rb") as file:
            content = file.read()
        data = content[SIZE:]
        if hashlib.sha256(data).digest() != content[:SIZE]:
            raise Damaged(path)
        stream = io.BytesIO(data)
        version = pickle.load(stream)
        if version != self._version:
            return (version, *(None for _ in range(of)))
        return (version, *(pickle.load(stream) for _ in range(of)))


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    """A function's cache, in which any failure is a miss."""

    _impl_class = _Implementation

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        implementation = self._impl
        self._cache_file = _Files(self._cache_path, implementation.filename_base, sources_digest(py_func))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Damaged:
            note("damaged cache", f"compiled code in {self._cache_path} is damaged: it is compiled again; if this "
                 f"comes again, {SET}")  # fmt: skip
        except Exception as error:  # a file that is not a cache may raise anything
            note("unread cache", f"compiled code in {self._cache_path} cannot be read ({_error_text(error)}): it is "
                 f"compiled again; if this comes again, {SET}")  # fmt: skip
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            note("unsaved cache", f"compiled code cannot be kept in {self._cache_path} ({_error_text(error)}), so "
                 f"every process compiles it anew; {SET}")  # fmt: skip


IMPORT = re.compile(r"^from (basins[\w.]*) import (\(.*?\)|[^\n]*)", re.MULTILINE | re.DOTALL)


def sources_digest(function: Any) -> str:
    """SHA-256 of the files that a function's machine code depends on.

    numba checks only the function's own file, and would keep code whose constants or helpers have changed elsewhere.
    """
    parts = [path.read_bytes() for path in compiled_files(Path(inspect.getfile(function)))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@cache
def compiled_files(file: Path) -> tuple[Path, ...]:
    """A file, and the files whose functions and constants it may compile in: the files of basins that it imports and,
    for those that compile functions themselves, the files that they import in turn. Sorted."""
    found = {file}
    for module, names in IMPORT.findall(file.read_text()):
        folder = PACKAGE.joinpath(*module.split(".")[1:])
        candidates = [folder.with_suffix(".py"), *(folder / f"{name}.py" for name in re.findall(r"\w+", names))]
        for path in candidates:
            if path.is_file():
                found |= set(compiled_files(path)) if COMPILES in path.read_text() else {path}
    return tuple(sorted(found))


def _error_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
