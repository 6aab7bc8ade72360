"""A run in an object store, at s3://BUCKET/PREFIX: one more tenant of files.py, through pyarrow's S3 client.

- `put` is one PUT of a whole object that was built in memory, then a HEAD: size and ETag must be those of what was
  sent, or it is put again. Nothing is visible before the store has all of it, and there is nothing to sweep.
- Writers are idempotent, so there is no lock, and no If-None-Match: pyarrow ignores it, and not every store keeps it.
- What may pass (no answer, HTTP 5xx, an object that came out differently) is tried again: for PATIENCE seconds where
  work is going on, for a moment at the door, where a mistake should be said at once.
- Workers ask for single objects; a listing is one prefix, of a case and kind.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from basins.store import s3_client
from basins.store.s3_client import Client

T = TypeVar("T")

PATIENCE, CONNECT_TIMEOUT = 180.0, 1.0
"""Seconds after which nothing is tried again: where work is going on, and before."""

PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the second attempt, and before any; the pause doubles, less a random part."""

SINGLE = 10 * 1024 * 1024
"""From this size, bytes, pyarrow sends an object in parts, which the store joins when all are there."""


RACES = 20
"""How often an object is read that other writers replace meanwhile."""


class _OtherBytes(OSError):
    """The store holds something else than what was put."""


class S3Files:
    """Objects under one prefix. patient: whether trouble that may pass is waited out; see this module's docstring."""

    def __init__(self, uri: str, *, patient: bool = False) -> None:
        self.bucket, self.prefix = s3_client.parse(uri)
        self.patience = PATIENCE if patient else CONNECT_TIMEOUT
        self._client: Client = self._tried(
            "cannot open the run", lambda: s3_client.connected(self.bucket, patient, s3_client.environment())
        )

    @property
    def uri(self) -> str:
        return f"s3://{self._root}"

    @property
    def _root(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    def put(self, path: str, data: Any) -> None:
        buffer = pa.py_buffer(data)
        self._tried(f"cannot write {path}", lambda: self._put(self._key(path), buffer))

    def get(self, path: str) -> bytes:
        return self._found(path, lambda: self._whole(self._key(path)))

    def open(self, path: str) -> Any:
        source = self._found(path, lambda: self._client.single.open_input_file(self._key(path)))
        return pa.PythonFile(_Reader(self, path, source), mode="r")

    def exists(self, path: str) -> bool:
        try:
            # A HEAD; get_file_info would also list, to see whether it is a folder.
            self._found(path, lambda: self._client.single.open_input_file(self._key(path)).close())
        except FileNotFoundError:
            return False
        return True

    def paths(self, prefix: str) -> list[str]:
        top = self._key(prefix).rstrip("/")
        selector = fs.FileSelector(top, recursive=True, allow_not_found=True)
        found = self._tried("cannot list the run", lambda: self._client.single.get_file_info(selector))
        return sorted(info.path.removeprefix(f"{self._root}/") for info in found if info.type == fs.FileType.File)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._found(path, lambda: self._client.single.delete_file(self._key(path)), "cannot delete")

    def sweep(self) -> list[str]:
        return []

    # --- one attempt --------------------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put(self, key: str, data: pa.Buffer) -> None:
        """One PUT, seen to have arrived.

        A stream of pyarrow that is dropped commits what it has so far, at worst an empty object. So it is never left to
        an exception: Ctrl-C reaches the main thread alone, and this one opens, writes and closes.
        """
        if threading.current_thread() is threading.main_thread():
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: None).result()  # Ctrl-C while it starts would leave it a thread that nobody joins
                thread.submit(self._send, key, data).result()
        else:
            self._send(key, data)
        self._check(key, data)

    def _send(self, key: str, data: pa.Buffer) -> None:
        # Below SINGLE, open and write only fill memory, and close sends it. From it, open begins the upload (and fails
        # before there is a stream), parts are sent behind write, and close joins them if none has failed.
        filesystem = self._client.single if data.size < SINGLE else self._client.parts
        stream = filesystem.open_output_stream(key, compression=None)
        stream.write(data)
        stream.close()

    def _check(self, key: str, data: pa.Buffer) -> None:
        """Raises _OtherBytes unless the object is what was sent: by its size and MD5, else by reading it back."""
        try:
            with self._client.single.open_input_file(key) as there:
                if there.size() == data.size and (_etag(there) == _md5(data) or there.read_buffer().equals(data)):
                    return
        except FileNotFoundError:
            pass
        raise _OtherBytes("the store holds other bytes than it was sent")

    def _whole(self, key: str) -> bytes:
        """The object's bytes, all of one state. pyarrow asks for the size, then for so many bytes: where another writer
        comes between, it gives the new object cut off, or filled up with zeros.
        """
        for _ in range(RACES):
            data, tag = self._read(key)
            # The ETag of an encrypted or joined object is no MD5: then a second read has to give the same.
            if tag == _md5(data) or self._read(key) == (data, tag):
                return data
        raise _OtherBytes(f"it was replaced while it was read, {RACES} times")

    def _read(self, key: str) -> tuple[bytes, str]:
        with self._client.single.open_input_file(key) as there:
            return bytes(there.read()), _etag(there)

    # --- several ------------------------------------------------------------------------------------------------------

    def _found(self, path: str, attempt: Callable[[], T], what: str = "cannot read") -> T:
        try:
            return self._tried(f"{what} {path}", attempt)
        except FileNotFoundError:
            raise FileNotFoundError(path) from None

    def _tried(self, what: str, attempt: Callable[[], T]) -> T:
        """What `attempt` gives, in the end. Raises RunError for trouble that lasts, FileNotFoundError."""
        deadline, pause = time.monotonic() + self.patience, PAUSE
        while True:
            try:
                return attempt()
            except FileNotFoundError:
                raise
            except (OSError, pa.ArrowException) as error:
                lasts = not isinstance(error, _OtherBytes) and s3_client.lasts(error)
                if lasts or time.monotonic() + pause > deadline:
                    raise s3_client.refusal(what, error, self.uri, self.bucket) from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)


class _Reader:
    """An object as a Python file whose reads are tried again: what pyarrow then raises of it is damage, or a RunError
    of ours.
    """

    def __init__(self, files: S3Files, path: str, source: Any) -> None:
        self.files, self.path, self.source = files, path, source
        self.position = 0

    @property
    def closed(self) -> bool:
        return bool(self.source.closed)

    def close(self) -> None:
        self.source.close()

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self.position, self.source.size())[whence]
        self.position = base + offset
        return self.position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.source.size() - self.position)
        size = left if size is None or size < 0 else min(size, left)
        data = self.files._found(self.path, lambda: self.source.read_at(size, self.position)) if size else b""
        self.position += len(data)
        return data


def _etag(file: Any) -> str:
    return str((file.metadata() or {}).get("ETag", b"").decode().strip('"'))


def _md5(data: Any) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
