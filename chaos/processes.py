"""Processes of an episode: how they are started, found again by their mark, and ended. No other process is touched."""

from __future__ import annotations

import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path

MARK = "BASINS_CHAOS"
"""In the environment of every process that belongs to a chaos: the folder of its journal."""

HERE = Path(__file__).resolve().parent


def environment(journal: Path) -> dict[str, str]:
    """What drivers, nodes and workers are started with: the mark, the witness, a token, one BLAS thread."""
    path = [str(HERE / "probe"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        MARK: str(journal),
        "PYTHONPATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(journal),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # not 15: a worker that gets no time hits nothing
    }


def _token(journal: Path) -> str:
    """One token a chaos: made once, kept beside the journal."""
    path = journal / "token"
    if not path.exists():
        path.write_text(secrets.token_hex(32))
        path.chmod(0o600)
    return path.read_text()


def marked(journal: Path) -> list[int]:
    """The processes that carry this chaos's mark, our own left out."""
    wanted = f"{MARK}={journal}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end_marked(journal: Path) -> None:
    """SIGKILL, which works on stopped processes too, to all of this chaos that is left."""
    for pid in marked(journal):
        kill(pid)


class Process:
    """One process, held on to: a signal never reaches another one that has got its number since."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self.handle = None

    def send(self, what: signal.Signals) -> None:
        """Send a signal; nothing happens where it has ended."""
        if self.handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, what)

    def close(self) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


def kill(pid: int) -> None:
    """SIGKILL."""
    process = Process(pid)
    process.send(signal.SIGKILL)
    process.close()


def alive(pid: int) -> bool:
    """Whether it runs: not ended, not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
