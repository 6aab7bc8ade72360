"""A driver's session: a runner computes missing shards, listeners get the events, digests and telemetry are stored."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import merge
from typing import Any

from basins.errors import RunError
from basins.execution.base import Runner
from basins.execution.shard import Task
from basins.execution.telemetry import TelemetryLog
from basins.progress import Event, Listener, RunEnded, RunStarted, ShardDone
from basins.store import Files, layout, missing_shards, parquet
from basins.store.contents import Contents
from basins.store.digests import DigestBook
from basins.store.growth import forget_short_digests
from basins.store.layers import Layer
from basins.store.manifest import Manifest


class Tasks(Sequence[Task]):
    """Shards to compute, by case. There may be many, so each takes only eight bytes.

    The cases take turns, each in proportion to its shards: what is done at any time is a sample of all there is to do,
    so that its pace says how long the rest takes.
    """

    def __init__(self, shards: Mapping[str, Sequence[int]]) -> None:
        self.shards = {key: array("q", of_case) for key, of_case in shards.items()}

    def __len__(self) -> int:
        return sum(map(len, self.shards.values()))

    def __iter__(self) -> Iterator[Task]:
        def of_case(place: int, key: str, shards: Sequence[int]) -> Iterator[tuple[float, int, Task]]:
            for k, shard in enumerate(shards):
                yield (k + 0.5) / len(shards), place, Task(key, shard)

        for _, _, task in merge(*(of_case(place, *item) for place, item in enumerate(self.shards.items()))):
            yield task

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]


def run_missing(
    files: Files,
    contents: Manifest | Layer,
    run_path: str,
    runner: Runner,
    workers: int | None,
    listeners: list[Listener],
) -> None:
    """Compute the shards of `contents` that are missing in `files`. run_path: the path or URI that workers get.

    Raises RunError if a shard fails, or if the store lacks one at the end, even if the runner reported it as done.
    """
    tasks = Tasks({case.key: missing_shards(files, contents, case) for case in contents.cases})
    shards = sum(len(contents.shards(case)) for case in contents.cases)
    trajectories, done = trajectories_done(files, contents, tasks)
    short = forget_short_digests(files, contents) if isinstance(contents, Manifest) else ()
    book, log = DigestBook(files, contents, short), TelemetryLog(files)

    def keep(event: ShardDone) -> None:
        book.add(event.summary.task.case, event.summary.task.shard, event.summary.digests)

    started = RunStarted(files.uri, runner.name, workers, trajectories, done, shards, shards - len(tasks))
    run_session(
        started,
        tasks.shards,
        run_path,
        runner,
        listeners,
        log,
        keep,
        book.close,
        lambda: refuse_if_missing(files, contents),
    )


def run_session(
    started: RunStarted,
    missing: Mapping[str, Sequence[int]],
    run_path: str,
    runner: Runner,
    listeners: list[Listener],
    log: TelemetryLog,
    keep: Callable[[ShardDone], None],
    close: Callable[[], None],
    end: Callable[[], None],
) -> None:
    """Run a session: the runner computes the missing shards (by case key), and the listeners get its events.

    keep: called with each finished shard, before the listeners; close: called at the end, also after an error; end:
    called if all went well, raises RunError if something is missing.
    """

    def emit(event: Event) -> None:
        if isinstance(event, ShardDone):
            keep(event)
        log(event)
        for listener in listeners:
            listener(event)

    complete = False
    emit(started)
    log.flush()  # so that `basins status` shows at once that a driver is running
    try:
        try:
            runner.run(Tasks(missing), run_path, started.workers, emit)
        except BaseException:
            # Keep the digests of the shards that were done, and report the first error, not a later one.
            with suppress(RunError):
                close()
            raise
        close()
        end()
        complete = True
    finally:
        try:
            emit(RunEnded(complete))
        finally:
            log.flush()


def trajectories_done(files: Files, contents: Manifest | Layer, tasks: Tasks) -> tuple[int, int]:
    """The number of all trajectories, and of those in shards that are done."""
    if isinstance(contents, Manifest):
        total = sum(case.trajectories for case in contents.cases)
        return total, total - sum(len(contents.ids(contents.case(task.case), task.shard)) for task in tasks)
    done = 0
    for case in contents.cases:
        missing = frozenset(tasks.shards[case.key])
        for shard in contents.shards(case):
            if shard not in missing:
                done += int(parquet.footer(files, layout.part("blocks", case.key, shard)).keys["rows"])
    return sum(contents.trajectories.values()), done


def refuse_if_missing(files: Files, contents: Contents) -> None:
    """Raises RunError that names the shards that the store lacks, even if the runner reported them as done."""
    gaps = []
    for case in contents.cases:
        missing = missing_shards(files, contents, case)
        if missing:
            few = ", ".join(map(str, missing[:8])) + (f", ... ({len(missing)})" if len(missing) > 8 else "")
            gaps.append(f"shard {few} of case {case.name!r} ({case.key})")
    if gaps:
        raise RunError(
            f"ended with shards missing: {'; '.join(gaps)}",
            where=files.uri,
            remedy="run again: only missing shards are computed",
        )
