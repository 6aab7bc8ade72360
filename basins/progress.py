"""The events of a run, and listeners that show its progress. Runners emit events; numerics never print.

A listener is any callable that takes an event. Events come in this order: a Message for each thing that is worth saying
before anything is done; one RunStarted; a WorkerReady, where there is something to do; then ShardDone (once per
shard) and AttemptLost as they happen; then always one RunEnded, whether the run is complete, failed or was interrupted.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from basins.execution.shard import ShardSummary, Task

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Message:
    """A line about what is done next, such as what a run grows by."""

    text: str


@dataclass(frozen=True)
class RunStarted:
    """The start of a session. trajectories, shards: of the whole run; ..._done: those that existed already; what: a
    name for the things counted as trajectories."""

    path: str
    runner: str
    workers: int | None
    trajectories: int
    trajectories_done: int
    shards: int
    shards_done: int
    what: str = "trajectories"


@dataclass(frozen=True)
class WorkerReady:
    """The first worker of a session has started; until its first shard is done it compiles and integrates."""


@dataclass(frozen=True)
class ShardDone:
    """A shard was committed, at attempt number `attempt` (from 1)."""

    summary: ShardSummary
    attempt: int


@dataclass(frozen=True)
class AttemptLost:
    """The worker of a shard died or exceeded its deadline; the shard will be tried again."""

    task: Task
    attempt: int
    cause: str


@dataclass(frozen=True)
class RunEnded:
    """The end of the session. complete: whether every shard is in the store."""

    complete: bool


Event = Message | RunStarted | WorkerReady | ShardDone | AttemptLost | RunEnded
Listener = Callable[[Event], None]


STARTING, COMPILING = "starting workers", "compiling"


class Tally:
    """Counts so far in this session, by verdict or by whatever else is counted, and the rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.trajectories = self.before = self.counted = 0
        self.lost = 0
        self.counts: Counter[str] = Counter()
        self.since = clock()
        self.stage = ""
        self.shards_left = 0
        self.workers: int | None = None
        self.seen: dict[tuple[str, int], tuple[float, float]] = {}  # of each worker: when it began, and its last shard

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.trajectories, self.before, self.since = event.trajectories, event.trajectories_done, self.clock()
            self.shards_left = event.shards - event.shards_done
            self.workers = 1 if event.runner == "inline" else event.workers
            waiting = COMPILING if event.runner == "inline" else STARTING
            self.stage = waiting if self.shards_left else ""
        elif isinstance(event, WorkerReady):
            self.stage = COMPILING
        elif isinstance(event, ShardDone):
            self._done(event.summary)
        elif isinstance(event, AttemptLost):
            self.lost += 1
        elif isinstance(event, RunEnded):
            self.stage = ""

    def _done(self, summary: ShardSummary) -> None:
        now, telemetry = self.clock(), summary.telemetry
        if self.counted == 0:  # workers have started by now, so the rate counts from the start of the first shard
            self.since = now - telemetry.seconds
        self.stage = ""
        self.shards_left -= 1
        self.counted += summary.trajectories
        self.counts.update(summary.counts)
        worker = telemetry.host, telemetry.pid
        begun, _ = self.seen.get(worker, (now - telemetry.seconds, now))
        self.seen[worker] = begun, now

    @property
    def done(self) -> int:
        """Trajectories that are done, including those of earlier sessions."""
        return self.before + self.counted

    @property
    def rate(self) -> float:
        """Trajectories per second in this session."""
        elapsed = self.clock() - self.since
        return self.counted / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds left; None while no shard is done.

        Shards are done in bursts where workers keep step, so the pace is not what is counted by now: it is what a
        trajectory took of a worker's time, from when each began to its last shard; and what they have been at since
        then counts as begun.
        """
        spent = sum(last - begun for begun, last in self.seen.values())
        if not self.counted or spent <= 0:
            return None
        if self.done >= self.trajectories:
            return 0.0
        left = (self.trajectories - self.done) * spent / self.counted
        workers = min(self.workers or len(self.seen), max(1, self.shards_left))
        a_shard = left / max(1, self.shards_left)
        now = self.clock()
        under_way = sorted((min(now - last, a_shard) for _, last in self.seen.values()), reverse=True)[:workers]
        return max(0.0, left - sum(under_way)) / workers

    def verdicts(self) -> str:
        """This session's counts as text; empty if it had nothing to do."""
        if self.before and not self.counted:
            return ""
        words = [f"{name} {count:,}" for name, count in self.counts.items()]
        return ", ".join(words + [f"retries {self.lost:,}"] * (self.lost > 0))


class RichProgress:
    """A progress bar for a terminal, with trajectories/s, counts by verdict and the time left."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.tally = Tally()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[verdicts]}"),
            console=console or Console(stderr=True),
        )

    def __call__(self, event: Event) -> None:
        self.tally(event)
        if isinstance(event, Message):
            self.bar.console.print(event.text, markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, RunStarted):
            self.task = self.bar.add_task(
                runner_text(event),
                total=event.trajectories,
                completed=event.trajectories_done,
                speed=speed_text(self.tally),
                verdicts="",
            )
            self.bar.start()
        elif isinstance(event, RunEnded):
            self.bar.stop()
        else:
            tally = self.tally
            self.bar.update(self.task, completed=tally.done, speed=speed_text(tally), verdicts=tally.verdicts())


class PlainProgress:
    """Lines for a log: one every `every` seconds, one at the start and one at the end."""

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.tally = Tally()
        self.stream, self.every = stream, every
        self.last, self.stage = self.tally.clock(), ""

    def __call__(self, event: Event) -> None:
        self.tally(event)
        now = self.tally.clock()
        if isinstance(event, Message):
            self.say(event.text)
        elif isinstance(event, RunStarted):
            self.say(
                f"{event.trajectories:,} {event.what} in {event.shards:,} shards, {event.shards_done:,} done; "
                f"{runner_text(event)}, into {event.path}{'; ' * bool(self.tally.stage)}{self.tally.stage}"
            )
            self.stage = self.tally.stage
        elif isinstance(event, WorkerReady):
            if self.tally.stage != self.stage:  # of the inline runner it is said already
                self.say(self.tally.stage)
        elif isinstance(event, AttemptLost):
            self.say(f"{event.task}, attempt {event.attempt}: {event.cause}; again")
        elif isinstance(event, RunEnded) or now - self.last >= self.every:
            said = f"{self.tally.done:,}/{self.tally.trajectories:,} {speed_text(self.tally)} {self.tally.verdicts()}"
            self.say(said.rstrip())
        else:
            return
        self.last = now

    def say(self, line: str) -> None:
        print(line, file=self.stream or sys.stderr, flush=True)


class Steps:
    """A context manager that shows the progress of a long check as `step(what, done, of)`: one changing line on a
    terminal, otherwise a line every `every` seconds. On exit it clears its line.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.stream = stream or sys.stderr
        self.same_line = self.stream.isatty()
        self.every = 0.1 if self.same_line else every
        self.last = time.monotonic()
        self.shown = 0

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print(f"\r{' ' * self.shown}\r", end="", file=self.stream, flush=True)

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self.last < self.every:
            return
        self.last = now
        line = f"{what}: {done:,}/{of:,}"
        if self.same_line:
            print(f"\r{line.ljust(self.shown)}", end="", file=self.stream, flush=True)
            self.shown = len(line)
        else:
            print(line, file=self.stream, flush=True)


def progress(stream: TextIO | None = None) -> Listener:
    """A progress bar for a terminal, lines for anything else. The stream is stderr by default."""
    stream = stream or sys.stderr
    if not stream.isatty():
        return PlainProgress(stream)
    from rich.console import Console

    return RichProgress(Console(file=stream))


def runner_text(event: RunStarted) -> str:
    return event.runner if event.workers is None else f"{event.runner} x {event.workers}"


def speed_text(tally: Tally) -> str:
    left = tally.seconds_left
    if left is None or tally.stage:
        return tally.stage
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{tally.rate:,.0f}/s, {clock} left,"
