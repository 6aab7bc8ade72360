"""A pool of Ray actors: as many as the cluster has cores for, each with an integrating and a writing thread.

Ray starts an actor where a core is free, so one that is not up yet is what makes a cluster grow; only one that is up is
given a shard. Ray restarts none (max_restarts=0): only so can attempts be counted, and a shard whose node hangs be
given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any, Literal

from basins import notes
from basins.errors import RunError
from basins.execution.base import portable, work_of
from basins.execution.ledger import MOST_ATTEMPTS, Ledger
from basins.execution.pool import Committed, Failed, Gone, Integrated, Pool, Ready, Word, Worker
from basins.execution.ray_head import REMEDY, Head
from basins.execution.shard import Commit, Task

LOOK = 5.0
"""Seconds after which the cluster is asked again how many cores it has."""

AHEAD = 2
"""Actors for each core of a cluster: one that grows on demand must see some wait."""

What = Literal["begin", "integrate", "commit"]


class ShardWorker:
    """The actor: what a Ray worker does. Errors come back as values, what Ray itself raises is its own."""

    def begin(self, work: str, run_path: str) -> Exception | None:
        """Once, before all else; the error where the work cannot be imported."""
        import pyarrow

        pyarrow.set_cpu_count(1)
        pyarrow.set_io_thread_count(1)
        notes.keep()
        self.run_path = run_path
        self.integrated: dict[tuple[str, int], Commit] = {}
        try:
            self.work = work_of(work)
        except Exception as error:
            return portable(error)
        return None

    def integrate(self, case: str, shard: int, attempt: int) -> Exception | None:
        """Integrate a shard and keep how to commit it; its error where there is one."""
        try:
            self.integrated[case, shard] = self.work(self.run_path, case, shard, attempt)
        except Exception as error:
            return portable(error)
        return None

    def commit(self, case: str, shard: int) -> Any:
        """Commit what was integrated: the summary, or its error."""
        try:
            return self.integrated.pop((case, shard))()
        except Exception as error:
            return portable(error)


THREADS = {"integrator": 1, "writer": 1}
"""Threads of an actor, by what is called on them."""


class Actors(Pool):
    """`bound`: how many actors there may be; all: how many shards there are to do."""

    def __init__(
        self, ray: Any, options: dict[str, Any], work: str, run_path: str, bound: Callable[[], int], everything: int
    ) -> None:
        self.ray, self.bound, self.all = ray, bound, everything
        self.arguments = work, run_path
        self.actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, concurrency_groups=THREADS, **options)(
            ShardWorker
        )
        self.workers: list[_Actor] = []
        self.refs: dict[Any, tuple[_Actor, What, Task | None]] = {}
        self.ending: list[Thread] = []

    def fit(self, ledger: Ledger) -> None:
        bound = min(self.bound(), self.all - ledger.finished)
        self.most_stillborn = max(MOST_ATTEMPTS, bound)  # a machine takes all of its own along
        while ledger.waiting and len(self.workers) < bound:
            self.workers.append(_Actor(self))
        # A core is given back where there is no use for it; an actor that is not up yet is asked for no longer.
        for worker in [worker for worker in self.workers if not worker.tasks]:
            if not ledger.waiting or (len(self.workers) > bound and not worker.ready):
                self.replace(worker)

    def heard(self, patience: float | None) -> Iterator[tuple[Worker, Word]]:
        refs = list(self.refs)
        if not self.ray.wait(refs, num_returns=1, timeout=LOOK if patience is None else min(LOOK, patience))[0]:
            return
        back = self.ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        # What is committed first, should its worker have died right after.
        for ref in sorted(back, key=lambda ref: self.refs[ref][1] != "commit"):
            if ref in self.refs:  # else its worker was replaced meanwhile
                worker, what, task = self.refs.pop(ref)
                yield worker, self.word(ref, worker, what, task)

    def word(self, ref: Any, worker: _Actor, what: What, task: Task | None) -> Word:
        """What has come back by this ref."""
        died = self.ray.exceptions
        try:
            result = self.ray.get(ref)
        except died.OutOfMemoryError:
            return Gone("OutOfMemoryError: Ray killed the worker because the machine's memory was full")
        except (died.RayActorError, died.NodeDiedError, died.WorkerCrashedError, died.ObjectLostError) as error:
            return Gone(f"{type(error).__name__}: the worker or its machine is gone")
        except died.RayError as error:
            # ShardWorker returns its errors, so this is Ray's own: basins cannot be imported there, ...
            raise RunError(
                f"{task or 'a worker'}: Ray could not run it: {type(error).__name__}: {last_line(error)}",
                remedy="see that every worker of the cluster has the same basins installed",
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
        """End all that are left, and wait for those that are being ended."""
        for worker in self.workers:
            worker.end()
        for ending in self.ending:
            ending.join(LOOK)

    def replace(self, worker: Worker) -> None:
        worker.end()
        self.workers = [other for other in self.workers if other is not worker]  # `fit` starts another
        self.refs = {ref: known for ref, known in self.refs.items() if known[0] is not worker}


class _Actor(Worker):
    """One actor, wherever it is."""

    def __init__(self, pool: Actors) -> None:
        super().__init__()
        self.pool, self.actor = pool, pool.actor.remote()
        self.call("begin", None, *pool.arguments)

    def call(self, what: What, task: Task | None, *arguments: Any) -> None:
        """Call this method of it; the answer comes through the pool's refs."""
        method = getattr(self.actor, what).options(concurrency_group="writer" if what == "commit" else "integrator")
        self.pool.refs[method.remote(*arguments)] = self, what, task

    def give(self, task: Task, attempt: int) -> None:
        self.call("integrate", task, task.case, task.shard, attempt)

    def has_word(self) -> bool:
        refs = [ref for ref, (worker, _, _) in self.pool.refs.items() if worker is self]
        return bool(self.pool.ray.wait(refs, num_returns=1, timeout=0)[0])

    def end(self) -> None:
        """In a thread: the call waits for the head, and where that is gone, until Ray ends this process."""

        def kill() -> None:
            with suppress(self.pool.ray.exceptions.RayError):
                self.pool.ray.kill(self.actor)

        ending = Thread(target=kill, daemon=True)
        ending.start()
        self.pool.ending.append(ending)


class Bound:
    """How many actors there may be: as many as is said, or AHEAD for each core that the cluster has now.

    node: the Ray node that this driver is connected to. Every LOOK seconds it and the head are looked after: a call to
    a head that is gone would not return, and with its node a driver has lost its actors and gets no others.
    """

    def __init__(
        self, ray: Any, node: str, fixed: int | None, head: Head, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ray, self.node, self.head, self.clock, self.fixed = ray, node, head, clock, fixed is not None
        self.found, self.looked = fixed or 1, -LOOK

    def __call__(self) -> int:
        """Raises RunError once the head is gone, or this driver's own node."""
        if self.clock() - self.looked >= LOOK:
            if self.head.answers():
                if not any(node["Alive"] for node in self.ray.nodes() if node["NodeID"] == self.node):
                    raise RunError(
                        "the Ray node that this driver was connected to is gone", where=self.head.address, remedy=REMEDY
                    )
                if not self.fixed:
                    # A cluster may have no core for a while: what is submitted then makes it grow.
                    self.found = AHEAD * max(1, int(self.ray.cluster_resources().get("CPU", 0)))
            self.looked = self.clock()
        return self.found


def last_line(error: BaseException) -> str:
    """The line of an error of Ray's that says what it is."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
