"""The contract of a place where a run's bytes live: a handful of verbs over paths relative to the run.

A tenant provides the methods of `Files` and must keep these promises; everything else in `store/` goes through them.
1. `put` is whole or not at all: no reader ever sees part of a file, whatever is killed when. What it leaves behind
   when killed is debris that no other verb shows and that `sweep` removes.
   Files of other programs, and those that a system leaves (layout.of_a_system), are shown and never removed.
2. `put` over a file that is there replaces it; two writers of the same bytes do no harm. There is no lock.
3. Once `put` returns, the file survives a crash of the machine that put it, and whoever asks afterwards, on whatever
   machine, finds it: `exists` and `paths` ask the place, not what this machine remembers of it.
4. Trouble of the place itself (no permission, no space, no connection) is a RunError that names it and the remedy; a
   file that is not there is a FileNotFoundError. Trouble is said within 10 seconds; where work is going on, a `patient`
   tenant waits out, for minutes, what may pass.

The tenants: `local.py`, a folder, on NFS too; `s3.py`, an object store. tests/store holds both to this page. What each
promises beyond it, or cannot:
- A folder: temporary name, write, fsync, rename, fsync of the folder. On NFS a rename or a new file may be reported
  as failed though it was done (a lost answer), so both are done again under another name; a handle may be stale, so
  what was read is read again; a machine remembers for up to a minute that a file was not there, so the folder is
  opened, which asks the server, before it is believed. Where a folder cannot be synced (some network and FUSE mounts)
  the server's own care is all there is. A mount with `nocto`, which does not ask the server, is promised none of 3.
- An object store: an object appears when the store has all of it, checksum included; a put cut off leaves nothing, but
  one of 10 MiB or more may leave parts that no reader sees and that the bucket's own rule for unfinished uploads
  removes. It must be consistent as S3 is: what was put is found and listed from then on.
"""

from __future__ import annotations

import os
import re
from typing import Any, Protocol

from basins.errors import RunError
from basins.home import with_home
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


def files_at(run: str | os.PathLike[str], *, patient: bool = False) -> Files:
    """The files of the run at a local path (~ is a home) or an s3:// URI. patient: waits out trouble that may pass.

    Raises RunError for a URI of another kind, and for a store that is not there or does not let us in.
    """
    uri = os.fspath(run)
    scheme, found, rest = uri.partition("://")
    if not found:
        if re.match(r"s3:/|https?:/", uri):
            raise RunError(
                "an address that lost a slash", where=uri, remedy="give s3://BUCKET/PREFIX as text, not as a Path"
            )
        return LocalFiles(with_home(uri))
    if scheme == "file":
        return LocalFiles(rest)
    if scheme == "s3":
        from basins.store.s3 import S3Files  # a second to load, and most runs are folders

        return S3Files(uri, patient=patient)
    raise RunError(f"no store for {scheme}:// addresses", where=uri, remedy="give a local path, or s3://BUCKET/PREFIX")
