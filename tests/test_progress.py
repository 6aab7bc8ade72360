"""The progress listeners: a bar for a terminal, lines for a log, and a rate that excludes the start of the workers."""

from __future__ import annotations

import io

from basins.execution.shard import ShardSummary, Task, Telemetry
from basins.progress import (
    AttemptLost,
    Event,
    PlainProgress,
    RichProgress,
    RunEnded,
    RunStarted,
    ShardDone,
    Tally,
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
    """Workers take 5 s to start and 2 s for a shard: 1,024 trajectories in 2 s, and two shards left take 4 s."""
    clock = Clock()
    tally = Tally(clock)
    tally(STARTED)
    assert tally.seconds_left is None
    clock.now = 107.0
    tally(done(1, seconds=2.0))
    assert tally.rate == 512.0
    assert tally.done == 2048
    assert tally.seconds_left == 4.0
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
    assert lines[0] == "4,096 trajectories in 4 shards, 1 done; ray x 2, into runs/x"
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
