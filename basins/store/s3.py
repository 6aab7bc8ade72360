"""A run in an object store, at s3://BUCKET/PREFIX: an implementation of files.py on pyarrow's S3 client.

- `put` is one PUT of a whole object that was built in memory, then a HEAD. If size and ETag are not those of what was
  sent, it is put again. Nothing is visible before the store has all of it, and there is nothing to sweep.
- Writers are idempotent, so there is no lock, and no If-None-Match: pyarrow ignores it, and not every store honours it.
- Temporary failures (no answer, HTTP 5xx, an object with other content) are retried: for minutes while work is going
  on (PATIENCE), for seconds before it begins, when a mistake should be reported at once.
- Workers ask for single objects; a listing covers one prefix, that of a case and kind.
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
"""Seconds after which nothing is retried: while work is going on, and before it begins."""

PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the second attempt, and the longest pause. The pause doubles each time, less a random part."""

SINGLE = 10 * 1024 * 1024
"""The size in bytes from which pyarrow sends an object in parts, which the store joins when all have arrived."""


RACES = 20
"""The number of attempts to read an object that other writers replace meanwhile."""


class _ContentDiffers(OSError):
    """The object in the store is not what was put, or changed while it was read."""


class S3Files:
    """Objects under one prefix. patient: whether to wait for temporary failures to pass; see the module's docstring."""

    def __init__(self, uri: str, *, patient: bool = False) -> None:
        self.bucket, self.prefix = s3_client.parse(uri)
        self.patience = PATIENCE if patient else CONNECT_TIMEOUT
        self._client: Client = self._retried(
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
        self._retried(f"cannot write {path}", lambda: self._put(self._key(path), buffer))

    def get(self, path: str) -> bytes:
        return self._or_missing(path, lambda: self._read_consistent(self._key(path)))

    def open(self, path: str) -> Any:
        source = self._or_missing(path, lambda: self._client.single.open_input_file(self._key(path)))
        return pa.PythonFile(_Reader(self, path, source), mode="r")

    def exists(self, path: str) -> bool:
        try:
            # This is one HEAD; get_file_info would also list, to see whether the path is a folder.
            self._or_missing(path, lambda: self._client.single.open_input_file(self._key(path)).close())
        except FileNotFoundError:
            return False
        return True

    def paths(self, prefix: str) -> list[str]:
        top = self._key(prefix).rstrip("/")
        selector = fs.FileSelector(top, recursive=True, allow_not_found=True)
        found = self._retried("cannot list the run", lambda: self._client.single.get_file_info(selector))
        return sorted(info.path.removeprefix(f"{self._root}/") for info in found if info.type == fs.FileType.File)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._or_missing(path, lambda: self._client.single.delete_file(self._key(path)), "cannot delete")

    def sweep(self) -> list[str]:
        return []

    # --- one attempt --------------------------------------------------------------------------------------------------

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put(self, key: str, data: pa.Buffer) -> None:
        """One PUT, then a check that the object has arrived.

        A pyarrow stream that is dropped commits what it has so far, at worst an empty object. So no exception may
        interrupt it: Ctrl-C reaches only the main thread, and another thread opens, writes and closes the stream.
        """
        if threading.current_thread() is threading.main_thread():
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: None).result()  # Ctrl-C while the thread starts would leave it unjoined
                thread.submit(self._send, key, data).result()
        else:
            self._send(key, data)
        self._check(key, data)

    def _send(self, key: str, data: pa.Buffer) -> None:
        # Below SINGLE bytes, open and write only fill memory, and close sends the object. From SINGLE on, open begins
        # the upload (and fails before there is a stream), write sends parts, and close joins them if none has failed.
        filesystem = self._client.single if data.size < SINGLE else self._client.parts
        stream = filesystem.open_output_stream(key, compression=None)
        stream.write(data)
        stream.close()

    def _check(self, key: str, data: pa.Buffer) -> None:
        """Compare the object with what was sent, by size and MD5 or else by reading it back. Raises _ContentDiffers."""
        try:
            with self._client.single.open_input_file(key) as there:
                if there.size() == data.size and (_etag(there) == _md5(data) or there.read_buffer().equals(data)):
                    return
        except FileNotFoundError:
            pass
        raise _ContentDiffers("the store holds other bytes than those it was sent")

    def _read_consistent(self, key: str) -> bytes:
        """The object's bytes, all of one version. pyarrow asks for the size, then for that many bytes: if another
        writer replaces the object in between, it returns the new object cut off or padded with zeros.
        """
        for _ in range(RACES):
            data, tag = self._read(key)
            # The ETag of an encrypted or joined object is not an MD5. Then a second read has to give the same bytes.
            if tag == _md5(data) or self._read(key) == (data, tag):
                return data
        raise _ContentDiffers(f"it was replaced {RACES} times while it was read")

    def _read(self, key: str) -> tuple[bytes, str]:
        with self._client.single.open_input_file(key) as there:
            return bytes(there.read()), _etag(there)

    # --- several ------------------------------------------------------------------------------------------------------

    def _or_missing(self, path: str, attempt: Callable[[], T], what: str = "cannot read") -> T:
        try:
            return self._retried(f"{what} {path}", attempt)
        except FileNotFoundError:
            raise FileNotFoundError(path) from None

    def _retried(self, what: str, attempt: Callable[[], T]) -> T:
        """The result of `attempt`, retried while failures may be temporary. Raises RunError once one is permanent or
        time is up, and FileNotFoundError."""
        deadline, pause = time.monotonic() + self.patience, PAUSE
        while True:
            try:
                return attempt()
            except FileNotFoundError:
                raise
            except (OSError, pa.ArrowException) as error:
                permanent = not isinstance(error, _ContentDiffers) and s3_client.is_permanent(error)
                if permanent or time.monotonic() + pause > deadline:
                    raise s3_client.refusal(what, error, self.uri, self.bucket) from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)


class _Reader:
    """An object as a Python file whose reads are retried, so that an error which pyarrow raises from it means damage,
    or is our RunError.
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
        data = self.files._or_missing(self.path, lambda: self.source.read_at(size, self.position)) if size else b""
        self.position += len(data)
        return data


def _etag(file: Any) -> str:
    return str((file.metadata() or {}).get("ETag", b"").decode().strip('"'))


def _md5(data: Any) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
