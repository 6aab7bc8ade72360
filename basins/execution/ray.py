"""The Ray runner: an embedded Ray on this machine's cores, or a cluster. The object store carries only summaries.

ray_workers.py has the actors. Token authentication is on and usage statistics are off. Both must be set before Ray is
imported, so it is imported late.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from basins.errors import ArgumentError, RunError
from basins.execution.base import ONE_THREAD, WORK, cores, search_path
from basins.execution.ledger import Ledger
from basins.execution.ray_head import Head
from basins.execution.ray_workers import ActorLimit, Actors, last_line
from basins.execution.shard import Task
from basins.extras import required
from basins.home import in_home, is_there
from basins.progress import Listener

EMBEDDED = "local"
PROBE_TIMEOUT = 2.0
"""Seconds within which a cluster's port must answer: ray.init hangs for more than 100 s if nothing listens there."""

TOKEN_TIMEOUT = 8.0
"""Seconds within which the cluster must accept or refuse our token; this includes a second import of Ray."""

OBJECT_STORE = 80_000_000
"""Bytes. Ray requires at least 75 MB; summaries need none of it."""


class Ray:
    """The runner with Ray actors as workers. address: HOST:PORT of a cluster; None: RAY_ADDRESS, else an embedded Ray.

    deadline: seconds after which a shard is taken from its worker and given to another; None: derived from the times
    that shards took so far (ledger.py).
    """

    name = "ray"

    def __init__(self, address: str | None = None, work: str = WORK, deadline: float | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or EMBEDDED
        self.work, self.deadline = work, deadline

    def check(self) -> None:
        required("ray", "--on ray", instead="choose --on processes")
        if self.address != EMBEDDED:
            _probe_port(self.address)
            _prepare_environment()
            _probe_token(self.address)

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        if not tasks:
            return
        with _connection(self.address, workers) as (ray, options, own):
            here = ray.get_runtime_context()
            head = Head(here.gcs_address)
            limit = ActorLimit(ray, here.get_node_id(), workers or (cores() if own else None), head)
            pool = Actors(ray, options, self.work, run_path, limit, len(tasks))
            try:
                pool.run_all(Ledger(tasks, on_event, self.deadline))
            except ray.exceptions.RayError as error:
                raise RunError(
                    f"lost the connection to Ray: {type(error).__name__}: {last_line(error)}",
                    where=self.address,
                    remedy="check the cluster, then run again: only missing shards are computed",
                ) from error
            finally:
                with suppress(ray.exceptions.RayError, RunError):
                    if head.answers():  # a call to a dead head would not return, and its actors are gone anyway
                        pool.close()


@contextmanager
def _connection(address: str, workers: int | None) -> Iterator[tuple[Any, dict[str, Any], bool]]:
    """(Ray, connected; options that actors need; whether it is an embedded Ray, with this machine's cores).

    If this process is already connected to a Ray, that one is used as it is.
    """
    _prepare_environment()
    ray = _imported()
    if ray.is_initialized():
        yield ray, {"runtime_env": {"env_vars": ONE_THREAD}}, False
        return
    environment = dict(ONE_THREAD)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == EMBEDDED:
        # A plain ray.init() would join the cluster that /tmp/ray/ray_current_cluster names, even a dead one.
        options |= {
            "num_cpus": workers or cores(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
        }
        environment["PYTHONPATH"] = search_path()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    _begin(ray, address, runtime_env={"env_vars": environment}, **options)
    if callable(on_sigterm):  # Ray replaces it with a handler that exits immediately
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, on_sigterm)
    # Ray prints a paragraph to stdout when a worker dies, whatever log_to_driver says; our event takes one line.
    quiet = ray._private.worker
    quiet._worker_logs_enabled = False
    try:
        yield ray, {}, address == EMBEDDED
    finally:
        ray.shutdown()  # ends an embedded Ray, but only disconnects from a cluster
        quiet._worker_logs_enabled = True


def _imported() -> Any:
    """The ray module. Raises RunError if the installed one cannot be imported."""
    try:
        return importlib.import_module("ray")
    except (ImportError, OSError) as error:
        raise RunError(
            f"Ray cannot be imported: {last_line(error)}", remedy="reinstall it, or use --on processes"
        ) from error


def _begin(ray: Any, address: str, **options: Any) -> None:
    """Start or join Ray. If that times out, as it may on a busy machine, try once more.

    Raises RunError for whatever Ray raises, which includes OSError and bare Exception besides Ray's own kinds.
    """
    for last in (False, True):
        try:
            ray.init(address=address, **options)
        except Exception as error:
            with suppress(Exception):
                ray.shutdown()  # ends what had started by then
            if _timed_out(error) and not last:
                continue
            raise _no_start(error, address) from error
        return


def _timed_out(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or re.search("timed out|timeout", str(error), re.IGNORECASE) is not None


def _no_start(error: Exception, address: str) -> RunError:
    """The RunError for a failed start or join."""
    reason = last_line(error)
    if "AF_UNIX path length" in str(error):
        reason = f"the names of its sockets get too long in {tempfile.gettempdir()}"
        remedy = "set TMPDIR to a shorter path, such as /tmp, or use --on processes"
    elif _timed_out(error):
        remedy = "give the same command again when the machine is less busy, or use --on processes"
    elif address == EMBEDDED:
        remedy = "use --on processes"
    else:
        remedy = "check the address and RAY_AUTH_TOKEN_PATH, or use --on processes"
    return RunError(f"cannot start or join Ray: {reason}", where=address, remedy=remedy)


def _prepare_environment() -> None:
    """Turn authentication on, statistics off. Ray reads its token once per process, so ours is made once and kept."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    given = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if not given and not is_there(in_home(".ray", "auth_token")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _probe_port(address: str) -> None:
    """Raises ArgumentError for what is not an address, RunError if nothing answers at it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise ArgumentError(
            f"{address!r} is not the address of a Ray cluster",
            where="address",
            remedy="give HOST:PORT as `ray start --head` printed it, such as 10.0.0.1:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_TIMEOUT).close()
    except OSError as error:
        raise RunError(
            f"no Ray cluster answers ({error.strerror or error})",
            where=address,
            remedy="start it, correct the address, or leave --address and RAY_ADDRESS out for an embedded Ray",
        ) from None


def _probe_token(address: str) -> None:
    """Raises RunError if what listens is not Ray or has another token; ray.init would try for 20 to 100 s.

    It asks in a separate process, which can be ended. Ray's name for the client is private, so a Ray without that name
    passes.
    """
    _imported()  # the first import may be slow, and Ray is needed anyway
    code = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=TOKEN_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"what listens there does not answer as Ray does within {TOKEN_TIMEOUT:g} s",
            where=address,
            remedy="give the address that `ray start --head` printed (its GCS port, 6379 by default)",
        ) from None
    if "AuthenticationError" in asked.stderr:
        raise RunError(
            "the Ray cluster there has another token",
            where=address,
            remedy="give the cluster's own in RAY_AUTH_TOKEN_PATH (a file) or RAY_AUTH_TOKEN",
        )
