"""A pool of Ray actors: as many as the cluster has cores for, each with an integrating and a writing thread.

Ray starts an actor where a core is free, so actors that wait for a core make an autoscaling cluster grow. Only an actor
that has started gets a shard. Ray does not restart actors (max_restarts=0): otherwise attempts could not be counted,
nor could a shard be taken from a node that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any, Literal

from basins import notes
from basins.errors import RunError
from basins.execution.base import picklable, work_of
from basins.execution.ledger import MOST_ATTEMPTS, Ledger
from basins.execution.pool import Committed, Failed, Integrated, Pool, Ready, Worker, WorkerDied, WorkerEvent
from basins.execution.ray_head import REMEDY, Head
from basins.execution.shard import Commit, Task

POLL_INTERVAL = 5.0
"""Seconds between two queries of the cluster's number of cores, and the longest wait for an event."""

ACTORS_PER_CORE = 2
"""Actors for each core of a cluster: an autoscaling cluster grows only if actors wait."""

What = Literal["begin", "integrate", "commit"]


class ShardWorker:
    """The actor that a Ray worker runs. It returns errors as values, so whatever Ray raises is Ray's own error."""

    def begin(self, work: str, run_path: str) -> Exception | None:
        """Called once, first. Returns the error if the work cannot be imported."""
        import pyarrow

        pyarrow.set_cpu_count(1)
        pyarrow.set_io_thread_count(1)
        notes.keep()
        self.run_path = run_path
        self.integrated: dict[tuple[str, int], Commit] = {}
        try:
            self.work = work_of(work)
        except Exception as error:
            return picklable(error)
        return None

    def integrate(self, case: str, shard: int, attempt: int) -> Exception | None:
        """Integrate a shard and keep its commit function. Returns the error if there is one."""
        try:
            self.integrated[case, shard] = self.work(self.run_path, case, shard, attempt)
        except Exception as error:
            return picklable(error)
        return None

    def commit(self, case: str, shard: int) -> Any:
        """Commit an integrated shard. Returns its summary, or the error."""
        try:
            return self.integrated.pop((case, shard))()
        except Exception as error:
            return picklable(error)


THREADS = {"integrator": 1, "writer": 1}
"""The number of threads in each concurrency group of an actor."""


class Actors(Pool):
    """A pool of actors. limit: returns how many actors there may be; everything: the number of shards to compute."""

    def __init__(
        self, ray: Any, options: dict[str, Any], work: str, run_path: str, limit: Callable[[], int], everything: int
    ) -> None:
        self.ray, self.limit, self.all = ray, limit, everything
        self.arguments = work, run_path
        self.actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, concurrency_groups=THREADS, **options)(
            ShardWorker
        )
        self.workers: list[_Actor] = []
        self.refs: dict[Any, tuple[_Actor, What, Task | None]] = {}
        self.ending: list[Thread] = []

    def fit(self, ledger: Ledger) -> None:
        limit = min(self.limit(), self.all - ledger.finished)
        self.most_failed_starts = max(MOST_ATTEMPTS, limit)  # when a machine dies, all of its actors die with it
        while ledger.waiting and len(self.workers) < limit:
            self.workers.append(_Actor(self))
        # Give back cores that are not needed, and cancel actors above the limit that have not started yet.
        for worker in [worker for worker in self.workers if not worker.tasks]:
            if not ledger.waiting or (len(self.workers) > limit and not worker.ready):
                self.replace(worker)

    def poll(self, timeout: float | None) -> Iterator[tuple[Worker, WorkerEvent]]:
        refs = list(self.refs)
        if not self.ray.wait(
            refs, num_returns=1, timeout=POLL_INTERVAL if timeout is None else min(POLL_INTERVAL, timeout)
        )[0]:
            return
        back = self.ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        # Commits come first, in case the worker died right after one.
        for ref in sorted(back, key=lambda ref: self.refs[ref][1] != "commit"):
            if ref in self.refs:  # otherwise its worker was replaced in the meantime
                worker, what, task = self.refs.pop(ref)
                yield worker, self.event_of(ref, worker, what, task)

    def event_of(self, ref: Any, worker: _Actor, what: What, task: Task | None) -> WorkerEvent:
        """The event that this ref returned."""
        died = self.ray.exceptions
        try:
            result = self.ray.get(ref)
        except died.OutOfMemoryError:
            return WorkerDied("OutOfMemoryError: Ray killed the worker because the machine's memory was full")
        except (died.RayActorError, died.NodeDiedError, died.WorkerCrashedError, died.ObjectLostError) as error:
            return WorkerDied(f"{type(error).__name__}: the worker or its machine is gone")
        except died.RayError as error:
            # ShardWorker returns its errors, so this one is Ray's own, for instance if basins cannot be imported there.
            raise RunError(
                f"{task or 'a worker'}: Ray could not run it: {type(error).__name__}: {last_line(error)}",
                remedy="check that every worker of the cluster has the same basins installed",
            ) from error
        if isinstance(result, Exception):
            return Failed(task, result)
        if task is None:
            return Ready()
        if what == "integrate":
            worker.call("commit", task, task.case, task.shard)
            return Integrated()
        return Committed(task, result)

    def close(self) -> None:
        """End the remaining actors, and wait until all have ended."""
        for worker in self.workers:
            worker.end()
        for ending in self.ending:
            ending.join(POLL_INTERVAL)

    def replace(self, worker: Worker) -> None:
        worker.end()
        self.workers = [other for other in self.workers if other is not worker]  # `fit` starts another
        self.refs = {ref: known for ref, known in self.refs.items() if known[0] is not worker}


class _Actor(Worker):
    """One actor, on any machine of the cluster."""

    def __init__(self, pool: Actors) -> None:
        super().__init__()
        self.pool, self.actor = pool, pool.actor.remote()
        self.call("begin", None, *pool.arguments)

    def call(self, what: What, task: Task | None, *arguments: Any) -> None:
        """Call this method of the actor; the answer comes through the pool's refs."""
        method = getattr(self.actor, what).options(concurrency_group="writer" if what == "commit" else "integrator")
        self.pool.refs[method.remote(*arguments)] = self, what, task

    def give(self, task: Task, attempt: int) -> None:
        self.call("integrate", task, task.case, task.shard, attempt)

    def has_event(self) -> bool:
        refs = [ref for ref, (worker, _, _) in self.pool.refs.items() if worker is self]
        return bool(self.pool.ray.wait(refs, num_returns=1, timeout=0)[0])

    def end(self) -> None:
        """Kill the actor, in a thread: the call waits for the head; if that is gone, until Ray ends this process."""

        def kill() -> None:
            with suppress(self.pool.ray.exceptions.RayError):
                self.pool.ray.kill(self.actor)

        ending = Thread(target=kill, daemon=True)
        ending.start()
        self.pool.ending.append(ending)


class ActorLimit:
    """How many actors there may be: a fixed number, or ACTORS_PER_CORE for each core that the cluster has now.

    node: the Ray node that this driver is connected to. The node and the head are checked every POLL_INTERVAL seconds,
    because a call to a dead head would not return, and a driver that has lost its node has lost its actors and cannot
    get others.
    """

    def __init__(
        self, ray: Any, node: str, fixed: int | None, head: Head, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ray, self.node, self.head, self.clock, self.fixed = ray, node, head, clock, fixed is not None
        self.found, self.looked = fixed or 1, -POLL_INTERVAL

    def __call__(self) -> int:
        """Raises RunError if the head or this driver's own node is gone."""
        if self.clock() - self.looked >= POLL_INTERVAL:
            if self.head.answers():
                if not any(node["Alive"] for node in self.ray.nodes() if node["NodeID"] == self.node):
                    raise RunError(
                        "the Ray node that this driver was connected to is gone", where=self.head.address, remedy=REMEDY
                    )
                if not self.fixed:
                    # A cluster may have no core for a while; a waiting actor makes it grow.
                    self.found = ACTORS_PER_CORE * max(1, int(self.ray.cluster_resources().get("CPU", 0)))
            self.looked = self.clock()
        return self.found


def last_line(error: BaseException) -> str:
    """The last line of one of Ray's errors, which names the cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
