"""The processes of an episode: they are started with a mark, found by it, and ended. No other process is touched."""

from __future__ import annotations

import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path

MARK = "BASINS_CHAOS"
"""The mark: an environment variable in every process of a session, with the folder of its journal."""

HERE = Path(__file__).resolve().parent


def environment(journal: Path) -> dict[str, str]:
    """The environment of drivers, nodes and workers: the mark, the probe, a token, one BLAS thread."""
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
        "RAY_worker_niceness": "0",  # not 15: a fault on a worker without CPU time hits nothing
    }


def _token(journal: Path) -> str:
    """The session's token, made once and stored beside the journal."""
    path = journal / "token"
    if not path.exists():
        path.write_text(secrets.token_hex(32))
        path.chmod(0o600)
    return path.read_text()


def marked(journal: Path) -> list[int]:
    """The processes that carry this session's mark, except this one."""
    wanted = f"{MARK}={journal}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end_marked(journal: Path) -> None:
    """Send SIGKILL, which works on stopped processes too, to all remaining processes of this session."""
    for pid in marked(journal):
        kill(pid)


class Process:
    """One process, held by a descriptor, so that a signal never reaches another process that reuses its pid."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self.handle = None

    def send(self, what: signal.Signals) -> None:
        """Send a signal; does nothing if the process has ended."""
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
