"""The progress listeners: a bar for a terminal, lines for a log, and a rate that excludes the start of the workers."""

from __future__ import annotations

import io

import pytest

from basins.execution.shard import ShardSummary, Task, Telemetry
from basins.progress import (
    AttemptLost,
    Event,
    Message,
    PlainProgress,
    RichProgress,
    RunEnded,
    RunStarted,
    ShardDone,
    Tally,
    WorkerReady,
    progress,
)

STARTED = RunStarted("runs/x", "ray", 2, trajectories=4096, trajectories_done=1024, shards=4, shards_done=1)


def done(shard: int, seconds: float = 1.0) -> ShardDone:
    telemetry = Telemetry(0.0, seconds, 1, "host", 1, True)
    return ShardDone(
        ShardSummary(Task("k", shard), 1024, {"minimum": 1000, "saddle": 4, "censored": 20}, 10, {}, telemetry), 1
    )


def test_what_is_not_a_run_says_counts_of_its_own() -> None:
    """A tail's trajectories have no verdicts."""
    tally = Tally()
    for shard, decided in ((1, 90), (2, 100)):
        telemetry = Telemetry(0.0, 1.0, 1, "host", 1, True)
        counts = {"decided": decided, "undecided": 100 - decided}
        tally(ShardDone(ShardSummary(Task("k", shard), 100, counts, 10, {}, telemetry), 1))
    assert tally.verdicts() == "decided 190, undecided 10"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_counts_from_the_start_of_the_first_shard() -> None:
    """Workers take 5 s to start and 2 s for a shard: 1,024 trajectories in 2 s, and two left take two workers 2 s."""
    clock = Clock()
    tally = Tally(clock)
    tally(STARTED)
    assert tally.seconds_left is None
    clock.now = 107.0
    tally(done(1, seconds=2.0))
    assert tally.rate == 512.0
    assert tally.done == 2048
    assert tally.seconds_left == 2.0
    clock.now = 108.0
    assert tally.seconds_left == 1.5  # one of them has been at its shard for a second; of the other nothing is known
    assert tally.verdicts() == "minimum 1,000, saddle 4, censored 20"
    tally(AttemptLost(Task("k", 2), 1, "killed by SIGKILL"))
    assert tally.verdicts().endswith("retries 1")


def test_lines_for_a_log() -> None:
    stream = io.StringIO()
    listener = PlainProgress(stream, every=0.0)
    events: list[Event] = [
        STARTED,
        done(1),
        AttemptLost(Task("k", 2), 1, "killed by SIGKILL"),
        done(2),
        done(3),
        RunEnded(complete=True),
    ]
    for event in events:
        listener(event)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "4,096 trajectories in 4 shards, 1 done; ray x 2, into runs/x; starting workers"
    assert lines[1].startswith("2,048/4,096 ")
    assert lines[2] == "shard 2 of case k, attempt 1: killed by SIGKILL; again"
    assert lines[-1].startswith("4,096/4,096 ")
    assert lines[-1].endswith("minimum 3,000, saddle 12, censored 60, retries 1")


def test_a_log_is_not_flooded() -> None:
    stream = io.StringIO()
    listener = PlainProgress(stream, every=1000.0)
    for event in (STARTED, done(1), done(2), done(3), RunEnded(complete=False)):
        listener(event)
    assert len(stream.getvalue().splitlines()) == 2


def test_the_bar_shows_counts_and_ends_with_the_run() -> None:
    from rich.console import Console

    stream = io.StringIO()
    bar = RichProgress(Console(file=stream, force_terminal=True, width=160, color_system=None))
    for event in (STARTED, done(1), done(2), done(3), RunEnded(complete=True)):
        bar(event)
    assert bar.bar.finished
    assert not bar.bar.live.is_started
    last = [line for line in stream.getvalue().splitlines() if "ray x 2" in line][-1]
    assert "4,096/4,096" in last
    assert "minimum 3,000, saddle 12, censored 60" in last


def test_a_stream_that_is_not_a_terminal_gets_lines() -> None:
    assert isinstance(progress(io.StringIO()), PlainProgress)


# --- time left -------------------------------------------------------------------------------------------------------


class Simulated:
    """A session on a clock of its own: workers start, compile, and take shards of a mean duration."""

    def __init__(
        self,
        workers: int,
        shards: int,
        seed: int,
        *,
        spread: float,
        before: int = 0,
        known: bool = True,
        pace: float = 1.0,
    ) -> None:
        import random

        self.clock, self.tally = Clock(), None
        chance = random.Random(seed)
        tally = Tally(self.clock)
        total = before + shards
        tally(RunStarted("run", "processes", workers if known else None, 1024 * total, 1024 * before, total, before))
        assert tally.stage == "starting workers"
        self.clock.now += 5.0
        tally(WorkerReady())
        assert tally.stage == "compiling"
        free = [self.clock.now + chance.uniform(2.0, 5.0) for _ in range(workers)]  # compiled by then
        ends = []
        for shard in range(shards):
            worker = min(range(workers), key=free.__getitem__)
            took = pace * chance.uniform(1 - spread, 1 + spread)
            free[worker] += took
            ends.append((free[worker], worker, shard, took))
        self.wrong: list[float] = []
        last = max(ends)[0]
        begun = self.clock.now
        for now, worker, shard, took in sorted(ends):
            before_this = self.clock.now
            for step in range(1, 4):  # also between two shards
                self.clock.now = before_this + (now - before_this) * step / 4
                self._compare(tally, total, before, last, pace)
            self.clock.now = now
            telemetry = Telemetry(0.0, took, 1, "host", worker, True)
            tally(ShardDone(ShardSummary(Task("k", shard), 1024, {"minimum": 1024}, 10, {}, telemetry), 1))
            assert tally.stage == ""
            self._compare(tally, total, before, last, pace)
        assert begun < self.clock.now
        assert tally.seconds_left == 0.0

    def _compare(self, tally: Tally, total: int, before: int, last: float, pace: float) -> None:
        """Within a third, or within the time of one shard: nobody knows when one that is under way will end."""
        if tally.counted and tally.done - 1024 * before >= 0.1 * 1024 * (total - before):
            left, said = last - self.clock.now, tally.seconds_left
            assert said is not None
            if left > 3 * pace:
                self.wrong.append(abs(said - left) / left)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("before", [0, 30])
@pytest.mark.parametrize(("workers", "shards"), [(1, 20), (2, 40), (2, 391), (16, 200), (16, 1000), (64, 1000)])
def test_the_time_left_is_right_within_a_third(workers: int, shards: int, before: int, known: bool) -> None:
    """From a tenth on, whatever the workers are doing, whether their number is known or seen, fresh or resumed."""
    if not known and 10 * workers > shards:
        pytest.skip("at a tenth not every worker has been seen yet")
    for seed in range(5):
        session = Simulated(workers, shards, seed, spread=0.4, before=before, known=known)
        assert session.wrong
        assert max(session.wrong) <= 1 / 3, (seed, max(session.wrong))


def test_workers_in_step_do_not_fool_it() -> None:
    """Shards of the same duration on many workers are done in bursts: between them the count stands still."""
    session = Simulated(16, 128, 1, spread=0.0, pace=30.0)
    assert max(session.wrong) <= 1 / 3


def test_what_is_done_meanwhile_is_said() -> None:
    stream = io.StringIO()
    listener = PlainProgress(stream, every=1000.0)
    for event in (Message("the run grows"), STARTED, WorkerReady(), done(1), RunEnded(complete=False)):
        listener(event)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "the run grows"
    assert lines[1].endswith("into runs/x; starting workers")
    assert lines[2] == "compiling"
    assert len(lines) == 4
