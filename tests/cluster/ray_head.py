"""A real Ray head on this machine, started as the scripts of cluster/ start it: with the dashboard and a token."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
STARTS_WITHIN, ATTEMPTS = 90, 3


@dataclass(frozen=True)
class Head:
    """A running head. url: of the dashboard; address: of the cluster; token: a file; session: Ray's folder."""

    url: str
    address: str
    token: Path
    session: Path


def environment(token: Path | None) -> dict[str, str]:
    """The environment of a shell on the cluster: its Python first in PATH; a token and authentication on, or
    neither."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    found = {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    return found if token is None else {**found, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}


@contextmanager
def head(cores: int = 2, start: str = "", more: dict[str, str] | None = None) -> Iterator[Head]:
    """A head; its processes, and only they, are ended afterwards.

    start: a shell's words up to and with `ray start --head`, instead of the test's own with its token; they find the
    cluster's Python and the token where cluster/'s files put them, in a home of their own. more: their environment.
    """
    with tempfile.TemporaryDirectory(prefix="basins-ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)  # short, because Ray's sockets are in it
        token = folder / ".ray" / "auth_token"
        token.parent.mkdir()
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        (folder / "basins").mkdir()
        (folder / "basins" / "venv").symlink_to(BIN.parent)
        given = {**environment(None), "HOME": name} if start else environment(token)
        given |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **(more or {})}
        for _ in range(ATTEMPTS):
            with _starting(folder, start or "exec ray start --head", given, cores) as (ports, process):
                if not _is_up(process, ports):
                    continue
                url = f"http://127.0.0.1:{ports['dashboard-port']}"
                yield Head(url, f"127.0.0.1:{ports['port']}", token, folder / "ray" / "session_latest")
                assert process.poll() is None, f"the head died by itself: {(folder / 'said').read_text()}"
                return
        raise AssertionError(f"no head: {(folder / 'said').read_text()}")


@contextmanager
def _starting(
    folder: Path, start: str, given: dict[str, str], cores: int
) -> Iterator[tuple[dict[str, int], subprocess.Popen[bytes]]]:
    """`ray start --head`, its ports by the names of their options, and its process."""
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = [
        *("--block", f"--num-cpus={cores}", "--disable-usage-stats", "--object-store-memory=80000000"),
        *(f"--{name}={port}" for name, port in ports.items()),
        *("--dashboard-host=127.0.0.1", f"--temp-dir={folder / 'ray'}"),
    ]
    with (folder / "said").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"{start} {shlex.join(options)}"],
            env=given,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with ended_after(process):
        yield ports, process


def _is_up(process: subprocess.Popen[bytes], ports: dict[str, int]) -> bool:
    """Whether dashboard and agent answer. False if the head dies first, as it does on a very busy machine: its client
    server, which cannot be disabled, waits only 30 s for the node."""
    until = time.monotonic() + STARTS_WITHIN
    for name in ("dashboard-port", "dashboard-agent-listen-port"):
        while not status(f"http://127.0.0.1:{ports[name]}"):
            if process.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.2)
    time.sleep(3.0)  # it checks its children every other second
    return process.poll() is None


def status(url: str, token: str | None = None, path: str = "/api/jobs/") -> int:
    """The HTTP status of an answer, with this token or none; 0 if there is no answer."""
    request = urllib.request.Request(url + path)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def ended_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process and all its descendants, even if they left its session, and nothing else."""
    try:
        yield
    finally:
        family = descendants(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        for pid, started in family.items():
            if _started(pid) == started:  # not another process with the same pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    """The descendants of this process, with their start times."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    found, edge = {}, {pid}
    while edge:
        edge = {child for child, parent in parents.items() if parent in edge}
        found.update({child: _started(child) for child in edge})
    return found


def _started(pid: int) -> str:
    try:
        return _stat(pid)[19]
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat after the command's name: state, parent, ..., with the start time in place 19."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
