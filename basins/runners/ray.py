"""Ray: an embedded one on this machine's cores, or the cluster at an address. The object store carries summaries only.

Retries are the driver's, not Ray's (max_retries=0): only so can attempts be counted, and a shard whose node hangs be
given up. Token authentication is on and usage statistics are off; both must be so before Ray is imported, so it is
imported late.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from basins.errors import ArgumentError, RunError
from basins.progress import Listener
from basins.runners.base import ONE_THREAD, WORK, cores, portable, search_path, work_of
from basins.runners.head import REMEDY, Head
from basins.runners.ledger import Ledger, failure
from basins.shard import Task

EMBEDDED = "local"
PROBE = 2.0
"""Seconds within which the port of a cluster must answer: ray.init hangs past 100 s where nothing listens."""

ANSWER = 8.0
"""Seconds within which it must say whether it knows our token, a second import of Ray included."""

LOOK = 5.0
"""Seconds after which the cluster is asked again how many cores it has."""

AHEAD = 2
"""Shards in flight for each core of a cluster: one that grows on demand must see some wait."""

OBJECT_STORE = 80_000_000
"""Bytes; Ray asks for 75 MB at least, and summaries need none of it."""


class Ray:
    """Workers of Ray. address: HOST:PORT of a cluster, or None for RAY_ADDRESS, else an embedded Ray.

    deadline: seconds after which a shard is given up where it is and submitted again; None: by what shards took so far
    (ledger.py). They are counted from its submission: a wait for a core and a worker's start are in them.
    """

    name = "ray"

    def __init__(self, address: str | None = None, work: str = WORK, deadline: float | None = None) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or EMBEDDED
        self.work, self.deadline = work, deadline

    def check(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ArgumentError(
                "Ray is not installed", where="on", remedy="pip install 'ray[default]', or --on processes"
            )
        if self.address != EMBEDDED:
            _probe_port(self.address)
            _prepare_environment()
            _probe_token(self.address)

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        if not tasks:
            return
        with _connection(self.address, workers) as (ray, options, own):
            remote = ray.remote(_task).options(num_cpus=1, max_retries=0, name="basins shard", **options)
            flight = _Flight(ray, remote, (self.work, run_path), Ledger(tasks, on_event, self.deadline))
            bound = _Bound(ray, workers or (cores() if own else None), Head(ray.get_runtime_context().gcs_address))
            try:
                while flight.ledger.unfinished:
                    flight.submit(bound())
                    for ref in flight.back(LOOK):
                        self.collect(ray, ref, flight.refs.pop(ref), flight.ledger)
                    flight.give_up_late()
            except ray.exceptions.RayError as error:
                raise RunError(
                    f"lost the connection to Ray: {type(error).__name__}: {_last_line(error)}",
                    where=self.address,
                    remedy="look after the cluster, then run again: only what is missing is computed",
                ) from error
            finally:
                for ref in flight.refs:
                    with suppress(ray.exceptions.RayError):
                        ray.cancel(ref, force=True)

    def collect(self, ray: Any, ref: Any, task: Task, ledger: Ledger) -> None:
        """What became of a task that is back."""
        died = ray.exceptions
        try:
            result = ray.get(ref)
        except died.LocalRayletDiedError as error:
            # Not the worker's machine: the one through which this driver is in the cluster. No attempt would get there.
            raise RunError(
                "the Ray node that this driver was connected to is gone", where=self.address, remedy=REMEDY
            ) from error
        except (died.WorkerCrashedError, died.NodeDiedError, died.ObjectLostError) as error:
            ledger.lost(task, f"{type(error).__name__}: the worker or its machine is gone")
        except died.OutOfMemoryError:
            ledger.lost(task, "OutOfMemoryError: Ray killed the worker because the machine's memory was full")
        except died.RayError as error:
            # `_task` returns its errors, so this is Ray's own: basins cannot be imported there, no environment, ...
            raise RunError(
                f"{task}: Ray could not run it: {type(error).__name__}: {_last_line(error)}",
                remedy="see that every worker of the cluster has the same basins installed",
            ) from error
        else:
            if isinstance(result, BaseException):
                raise failure(task, result) from result
            ledger.done(task, result)


def _task(work: str, run_path: str, case: str, shard: int, attempt: int) -> Any:
    """What a Ray worker does: the summary, or the exception as a value."""
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    try:
        return work_of(work)(run_path, case, shard, attempt)
    except Exception as error:
        return portable(error)


class _Flight:
    """The tasks that Ray has, by the refs of their results."""

    def __init__(self, ray: Any, remote: Any, arguments: tuple[str, str], ledger: Ledger) -> None:
        self.ray, self.remote, self.arguments, self.ledger = ray, remote, arguments, ledger
        self.refs: dict[Any, Task] = {}

    def submit(self, bound: int) -> None:
        """Submit what is waiting, until `bound` are in flight."""
        while self.ledger.waiting and len(self.refs) < bound:
            task, attempt = self.ledger.take()
            self.refs[self.remote.remote(*self.arguments, task.case, task.shard, attempt)] = task

    def back(self, patience: float) -> list[Any]:
        """The refs that are back; waits for the first, for the first deadline, or `patience` seconds."""
        refs = list(self.refs)
        late = self.ledger.patience()
        if not self.ray.wait(refs, num_returns=1, timeout=patience if late is None else min(patience, late))[0]:
            return []
        found: list[Any] = self.ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        return found

    def give_up_late(self) -> None:
        """Whatever is past its deadline waits again; where it is, it is cancelled, but nobody waits for that."""
        late = set(self.ledger.overdue())
        for ref, task in list(self.refs.items()):
            if task in late:
                del self.refs[ref]
                self.ray.cancel(ref, force=True)
                self.ledger.lost(task, self.ledger.late(task))


class _Bound:
    """How many shards may be in flight: as many as is said, or AHEAD for each core that the cluster has now.

    Every LOOK seconds the head is looked after: a call to one that is gone would not return.
    """

    def __init__(self, ray: Any, fixed: int | None, head: Head, clock: Callable[[], float] = time.monotonic) -> None:
        self.ray, self.head, self.clock, self.fixed = ray, head, clock, fixed is not None
        self.found, self.looked = fixed or 1, -LOOK

    def __call__(self) -> int:
        """Raises RunError once the head is gone."""
        if self.clock() - self.looked >= LOOK:
            if self.head.answers() and not self.fixed:
                # A cluster may have no core for a while: what is submitted then makes it grow.
                self.found = AHEAD * max(1, int(self.ray.cluster_resources().get("CPU", 0)))
            self.looked = self.clock()
        return self.found


@contextmanager
def _connection(address: str, workers: int | None) -> Iterator[tuple[Any, dict[str, Any], bool]]:
    """Ray, connected; what tasks must be told; whether it is our own, of this machine's cores.

    A Ray that this process is connected to already is used as it is.
    """
    _prepare_environment()
    import ray

    if ray.is_initialized():
        yield ray, {"runtime_env": {"env_vars": ONE_THREAD}}, False
        return
    environment = dict(ONE_THREAD)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == EMBEDDED:
        # A plain ray.init() would join whatever /tmp/ray/ray_current_cluster names, even if it is dead.
        options |= {
            "num_cpus": workers or cores(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
        }
        environment["PYTHONPATH"] = search_path()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, runtime_env={"env_vars": environment}, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunError(
            f"cannot start or join Ray: {_last_line(error)}",
            where=address,
            remedy="check the address and RAY_AUTH_TOKEN_PATH, or use --on processes",
        ) from error
    if callable(on_sigterm):  # Ray puts a handler of its own in its place, which exits on the spot
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, on_sigterm)
    # Ray prints a paragraph to stdout for a worker's death, log_to_driver or not; the event says it in a line.
    quiet = ray._private.worker
    quiet._worker_logs_enabled = False
    try:
        yield ray, {}, address == EMBEDDED
    finally:
        ray.shutdown()  # ends an embedded Ray; only leaves a cluster
        quiet._worker_logs_enabled = True


def _prepare_environment() -> None:
    """Authentication on, statistics off. Ray reads its token once a process, so ours is made once and stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    given = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if not given and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _probe_port(address: str) -> None:
    """Raises ArgumentError for an address that is none, RunError for one where nothing answers."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise ArgumentError(
            f"{address!r} is no address of a Ray cluster",
            where="address",
            remedy="give HOST:PORT as `ray start --head` printed it, such as 10.0.0.1:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE).close()
    except OSError as error:
        raise RunError(
            f"no Ray cluster answers ({error.strerror or error})",
            where=address,
            remedy="start it, mend the address, or leave --address and RAY_ADDRESS out for an embedded Ray",
        ) from None


def _probe_token(address: str) -> None:
    """Raises RunError where what listens is no Ray, or one with another token: ray.init would try for 20 to 100 s.

    In a process of its own, which can be ended; Ray's name for the client is private, so a Ray without it passes.
    """
    importlib.import_module("ray")  # the first import may be slow, and is needed anyway
    code = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
    try:
        asked = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired:
        raise RunError(
            f"what listens there does not answer as Ray does within {ANSWER:g} s",
            where=address,
            remedy="give the address that `ray start --head` printed (its GCS port, 6379 by default)",
        ) from None
    if "AuthenticationError" in asked.stderr:
        raise RunError(
            "the Ray cluster there has another token",
            where=address,
            remedy="give the cluster's own in RAY_AUTH_TOKEN_PATH (a file) or RAY_AUTH_TOKEN",
        )


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
