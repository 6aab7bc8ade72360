"""Watches the head of a Ray cluster from the driver.

Ray gives a lost head a minute to come back. Meanwhile calls that need the head do not return, and after the minute Ray
ends the whole process with status 1, so that we cannot report anything. Therefore the driver tests the head's port
before such calls, and gives up by itself before that minute is over.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from basins.errors import RunError

HEAD_TIMEOUT = 30.0
"""Seconds without an answer after which the driver gives up the head; Ray's own limit is 60."""

CONNECT = 2.0
"""Timeout in seconds of one connection to the head's port."""

REMEDY = "start a cluster, then run the same command again: only missing shards are computed"


class Head:
    """The head of a cluster. address: HOST:PORT of its control store (GCS)."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        host, _, port = address.rpartition(":")
        self.address, self.where, self.clock = address, (host.strip("[]"), int(port)), clock
        self.last_answer = clock()

    def answers(self) -> bool:
        """Whether it accepts a connection now. Raises RunError once it has accepted none for HEAD_TIMEOUT seconds."""
        try:
            socket.create_connection(self.where, timeout=CONNECT).close()
        except OSError:
            silent = self.clock() - self.last_answer
            if silent < HEAD_TIMEOUT:
                return False
            raise RunError(
                f"the head of the Ray cluster has not answered for {silent:.0f} s",
                where=self.address,
                remedy=REMEDY,
            ) from None
        self.last_answer = self.clock()
        return True
