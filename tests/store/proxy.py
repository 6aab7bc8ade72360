"""A proxy between a program and a store: it forwards HTTP/1.1, records the requests and injects faults.

with Proxy(store) as proxy:
    proxy.faults.append(Fault("PUT", "trajectories/", "cut", after=1000))
    ... with AWS_ENDPOINT_URL = proxy.endpoint ...
    proxy.requests          # [("HEAD", "/bucket"), ("PUT", "/bucket/run/..."), ...]
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import unquote

from servers import Store

What = Literal["cut", "flip", "503", "silence", "deaf"]


@dataclass
class Fault:
    """A fault in requests whose method is `method` and whose path contains `path`, injected `times` times.

    cut: both connections are closed after `after` bytes of the body; flip: a bit of that byte is flipped; 503: the
    store is not contacted; silence: nothing more is forwarded until the client gives up; deaf: the store gets the whole
    request, but its answer is lost.
    """

    method: str
    path: str
    what: What
    after: int = 0
    times: int = 1
    struck: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if self.struck >= self.times or method != self.method or self.path not in path:
            return False
        self.struck += 1
        return True


@dataclass
class Proxy:
    """A proxy of one store, on its own port."""

    store: Store
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._thread.join()
        for one in list(self._open):
            _close(one)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def asked(self, method: str) -> list[str]:
        """The requested paths with this method."""
        return [path for name, path in self.requests if name == method]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.store.port))
        self._open |= {client, server}
        deaf = threading.Event()
        asked = client.makefile("rb")
        threading.Thread(target=self._back, args=(server, client, deaf), daemon=True).start()
        try:
            while self._one(client, asked, server, deaf):
                pass
        except OSError:
            pass
        finally:
            asked.close()
            _close(client)
            _close(server)
            self._open -= {client, server}

    def _back(self, server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if deaf.is_set():
                    break
                client.sendall(data)
        _close(client)

    def _one(self, client: socket.socket, asked: Any, server: socket.socket, deaf: threading.Event) -> bool:
        """Forward one request. Returns False if the connection ends."""
        lines = list(_head(asked))
        if not lines:
            return False
        method, path, _ = lines[0].decode().split(" ", 2)
        path = unquote(path)
        self.requests.append((method, path))
        fault = next((fault for fault in self.faults if fault.strikes(method, path)), None)
        if fault is not None and fault.what == "503":
            client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if fault is not None and fault.what == "deaf":
            deaf.set()
        server.sendall(b"".join(lines) + b"\r\n")
        passed = 0
        for data, framing in _body(asked, b"".join(lines).lower()):
            if not data:
                return False
            if fault is not None and not framing and passed <= fault.after < passed + len(data):
                at = fault.after - passed
                if fault.what == "flip":
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                elif fault.what in ("cut", "silence"):
                    server.sendall(data[:at])
                    while fault.what == "silence" and asked.read1():
                        pass
                    return False
            server.sendall(data)
            passed += 0 if framing else len(data)
        return True


def _head(asked: Any) -> Iterator[bytes]:
    """The lines of a head; empty if the connection ends before it or within it."""
    lines = []
    while (line := asked.readline()) != b"\r\n":
        if not line:
            return
        lines.append(line)
    yield from lines


def _body(asked: Any, head: bytes) -> Iterator[tuple[bytes, bool]]:
    """The body after a head, piece by piece, and whether each piece is framing; an empty piece if it breaks off."""
    if b"\r\ntransfer-encoding: chunked" in head:
        size = 1
        while size:
            line = asked.readline()
            yield line, True
            size = int(line, 16)
            yield from _plain(asked, size)
            yield asked.readline(), True
    elif length := re.search(rb"\r\ncontent-length: *(\d+)", head):
        yield from _plain(asked, int(length[1]))


def _plain(asked: Any, left: int) -> Iterator[tuple[bytes, bool]]:
    while left:
        data = asked.read1(min(left, 1 << 16))
        yield data, False
        left -= len(data)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
