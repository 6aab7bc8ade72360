"""The head of a Ray cluster, watched from the driver.

Ray gives a head that is gone a minute to come back. Meanwhile calls that ask it something do not return, and when the
minute is over Ray ends the whole process, with status 1 and no word of ours. So its port is asked first, and the
driver gives up in good time, by itself.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from basins.errors import RunError

GONE = 30.0
"""Seconds without an answer after which a head is given up; Ray's own limit is 60."""

CONNECT = 2.0
"""Seconds for one connection to its port."""

REMEDY = "start a cluster, then run the same command again: only what is missing is computed"


class Head:
    """address: HOST:PORT of the head's control store (GCS)."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        host, _, port = address.rpartition(":")
        self.address, self.where, self.clock = address, (host.strip("[]"), int(port)), clock
        self.heard = clock()

    def answers(self) -> bool:
        """Whether it takes a connection now. Raises RunError once it has taken none for GONE seconds."""
        try:
            socket.create_connection(self.where, timeout=CONNECT).close()
        except OSError:
            silent = self.clock() - self.heard
            if silent < GONE:
                return False
            raise RunError(
                f"the head of the Ray cluster has not answered for {silent:.0f} s",
                where=self.address,
                remedy=REMEDY,
            ) from None
        self.heard = self.clock()
        return True
