"""The contract of a place that stores a run's bytes: a few operations on paths relative to the run.

An implementation provides the methods of `Files` and keeps these promises. Everything else in `store/` uses them.
1. `put` is atomic: no reader ever sees part of a file, whichever process is killed and when. A killed `put` may leave
   debris, which no other operation shows and which `sweep` removes.
   Files of other programs, and those that an operating system leaves (layout.is_system_file), are shown and never
   removed.
2. `put` replaces an existing file; two writers of the same bytes do no harm. There is no lock.
3. Once `put` returns, the file survives a crash of the machine that wrote it, and every later call finds it, on any
   machine: `exists` and `paths` ask the place itself, not this machine's cache.
4. A failure of the place itself (no permission, no space, no connection) is a RunError that names it and the remedy. A
   missing file is a FileNotFoundError. A failure is reported within 10 seconds, except that a `patient` implementation,
   which is used while work is going on, waits for minutes for temporary failures to pass.

The implementations are `local.py`, a folder, also on NFS, and `s3.py`, an object store. tests/store runs both through
this contract. Each one's own promises and limits:
- A folder: temporary name, write, fsync, rename, fsync of the folder. On NFS a rename or the creation of a file may be
  reported as failed although it was done (the reply was lost), so both are repeated under another name; a handle may be
  stale, so a failed read is repeated; and a machine may remember for up to a minute that a file did not exist, so the
  folder is opened, which asks the server, before a file is reported missing. If a folder cannot be synced (some network
  and FUSE mounts), durability is up to the server. Promise 3 does not hold on a mount with `nocto`, which does not ask
  the server.
- An object store: an object appears once the store has all of it, checksum included. An interrupted put leaves nothing,
  except that one of 10 MiB or more may leave parts that no reader sees and that the bucket's own rule for unfinished
  uploads removes. The store must be as consistent as S3: an object is found and listed as soon as its put returns.
"""

from __future__ import annotations

import os
import re
from typing import Any, Protocol

from basins.errors import ArgumentError, RunError
from basins.home import with_home
from basins.store.local import LocalFiles


class Files(Protocol):
    """Bytes under paths like "trajectories/case=KEY/part-00000000.parquet"; see this module's docstring."""

    @property
    def uri(self) -> str:
        """The address of the run, which a worker on another machine can open."""
        ...

    def put(self, path: str, data: Any) -> None:
        """Write `data` (bytes or a pyarrow Buffer) as the content of `path`, durably."""
        ...

    def get(self, path: str) -> bytes:
        """The content of `path`. Raises FileNotFoundError."""
        ...

    def open(self, path: str) -> Any:
        """Open `path` as a pyarrow NativeFile, to read parts of it. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool: ...

    def paths(self, prefix: str) -> list[str]:
        """All paths that begin with `prefix` (a folder with its "/", or "" for all), sorted, without debris."""
        ...

    def delete(self, path: str) -> None:
        """Remove `path` if it exists."""
        ...

    def sweep(self) -> list[str]:
        """Remove the debris of interrupted puts. Returns the removed paths, sorted."""
        ...


def files_at(run: str | os.PathLike[str], *, patient: bool = False) -> Files:
    """The files of the run at a local path (~ is expanded) or an s3:// URI. patient: wait for temporary failures to
    pass.

    Raises RunError for a URI of another kind, and for a store that cannot be reached or denies access.
    """
    if not isinstance(run, str | os.PathLike):
        raise ArgumentError(
            f"{type(run).__name__} is no path", where="run", remedy="give a folder, or s3://BUCKET/PREFIX"
        )
    uri = os.fspath(run)
    scheme, found, rest = uri.partition("://")
    if not found:
        if re.match(r"s3:/|https?:/", uri):
            raise RunError(
                "the address has lost a slash", where=uri, remedy="give s3://BUCKET/PREFIX as text, not as a Path"
            )
        return LocalFiles(with_home(uri))
    if scheme == "file":
        return LocalFiles(rest)
    if scheme == "s3":
        from basins.store.s3 import S3Files  # takes a second to import, and most runs are folders

        return S3Files(uri, patient=patient)
    raise RunError(f"no store for {scheme}:// addresses", where=uri, remedy="give a local path, or s3://BUCKET/PREFIX")
