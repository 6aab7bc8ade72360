"""The fault-injecting proxy releases a client that leaves."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

from proxy import Proxy


def test_the_proxy_closes_both_sides_when_the_client_leaves() -> None:
    """There are hundreds of workers. A thread that kept reading from a closed connection once used a core and a
    gigabyte."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        port = store.getsockname()[1]
        with Proxy(cast(Any, SimpleNamespace(port=port))) as proxy:
            for said in (b"", b"GET /half HTTP/1.1\r\n"):  # between two requests; within a head
                before = threading.active_count()
                client = socket.create_connection(("127.0.0.1", int(proxy.endpoint.rpartition(":")[2])))
                server, _ = store.accept()
                client.sendall(said)
                client.close()
                server.settimeout(10)
                assert server.recv(1) == b""  # nothing of it was passed on, and the way to the store is closed
                server.close()
                until = time.monotonic() + 10
                while threading.active_count() > before and time.monotonic() < until:
                    time.sleep(0.01)
                assert threading.active_count() <= before
                assert proxy.requests == []
