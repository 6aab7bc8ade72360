"""Losses, attempts and deadlines, tested on a ledger with a fake clock; and the number of actors on a cluster."""

from __future__ import annotations

import pytest
from standins import CASE, summary, tasks

from basins.errors import RunError
from basins.execution import ledger
from basins.execution.ledger import Ledger
from basins.execution.ray_workers import ACTORS_PER_CORE, POLL_INTERVAL, ActorLimit
from basins.execution.shard import Task
from basins.progress import AttemptLost, Event


def test_a_shard_is_given_up_at_its_fifth_loss() -> None:
    events: list[Event] = []
    ledger = Ledger(tasks(2), events.append)
    for attempt in range(1, 5):
        assert ledger.take() == (Task(CASE, 0), attempt)
        ledger.lost([Task(CASE, 0)], "killed")
    assert ledger.take() == (Task(CASE, 0), 5)
    with pytest.raises(RunError, match="lost its worker 5 times, the last time: killed"):
        ledger.lost([Task(CASE, 0)], "killed")
    assert [event.attempt for event in events if isinstance(event, AttemptLost)] == [1, 2, 3, 4, 5]


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def lose_until_it_ends(ledger: Ledger, rounds: int, others_done: bool) -> None:
    """Two shards are taken and lost in turn, repeatedly; with others_done a third is done between two rounds."""
    taken = [ledger.take()[0] for _ in range(2)]
    for _ in range(rounds):
        for task in taken:
            ledger.lost([task], "gone")
            assert ledger.take()[0] == task
        if others_done:
            third, _ = ledger.take()
            ledger.done(third, summary(third.case, third.shard))


def test_losses_among_others_do_not_count_against_a_shard() -> None:
    """Machines come and go: other workers are lost too, and other shards are done. MOST_ATTEMPTS still ends the run."""
    many = Ledger(tasks(200), lambda event: None)
    lose_until_it_ends(many, ledger.MOST_ATTEMPTS - 2, others_done=True)
    with pytest.raises(RunError, match=f"lost its worker {ledger.MOST_ATTEMPTS} times"):
        lose_until_it_ends(Ledger(tasks(200), lambda event: None), ledger.MOST_ATTEMPTS, others_done=True)


def test_losses_of_all_shards_count_against_each() -> None:
    """If no shard is done in between, the machines are not to blame: workers too small for any shard end the run
    soon."""
    with pytest.raises(RunError, match=f"lost its worker {ledger.ATTEMPTS} times"):
        lose_until_it_ends(Ledger(tasks(2), lambda event: None), 100, others_done=False)


def test_deadlines_follow_the_times_that_shards_of_the_case_took() -> None:
    clock = Clock()
    book = Ledger([Task("a", 0), Task("b", 0), Task("a", 1)], lambda event: None, clock=clock)
    first, other = book.take()[0], book.take()[0]
    clock.now = 1e6
    assert book.overdue() == []
    assert book.seconds_to_deadline() is None
    clock.now = 1e6 + 100.0
    book.done(first, summary("a", 0))
    again = book.take()[0]
    took = 1e6 + 100.0
    assert book.deadline(again) == ledger.DEADLINE_FACTOR * took
    assert book.deadline(other) == float("inf"), "another case may be slower"
    clock.now = took + 10 * took - 1
    assert (book.overdue(), book.seconds_to_deadline()) == ([], 1.0)
    clock.now += 1
    assert book.overdue() == [again]
    assert book.seconds_to_deadline() == 0.0
    book.lost([again], book.overdue_message(again))
    assert book.take() == (again, 2)
    assert book.deadline(again) == 20 * took, "twice as long at the second attempt"


def test_a_default_deadline_is_at_least_a_minute_and_a_given_deadline_is_kept() -> None:
    clock = Clock()
    for asked, least in ((None, ledger.LEAST_DEADLINE), (5.0, 5.0)):
        book = Ledger(tasks(2), lambda event: None, asked, clock)
        book.done(book.take()[0], summary(CASE, 0))
        assert book.deadline(book.take()[0]) == least


def test_the_number_of_actors_follows_the_cluster() -> None:
    class Cluster:
        cores = 2.0

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": self.cores} if self.cores else {}

        def nodes(self) -> list[dict[str, object]]:
            return [{"NodeID": "own", "Alive": True}]

    class There:
        def answers(self) -> bool:
            return True

    clock, cluster = Clock(), Cluster()
    limit = ActorLimit(cluster, "own", None, There(), clock)  # type: ignore[arg-type]
    seen = []
    for cores in (2.0, 8.0, 0.0, 3.0):
        cluster.cores = cores
        seen.append(limit())
        clock.now += POLL_INTERVAL
    assert seen == [2 * ACTORS_PER_CORE, 8 * ACTORS_PER_CORE, ACTORS_PER_CORE, 3 * ACTORS_PER_CORE]
    assert ActorLimit(cluster, "own", 5, There())() == 5  # type: ignore[arg-type]


def test_a_dead_worker_counts_as_one_loss_whatever_the_number_of_its_shards() -> None:
    """Otherwise the shards that are committed beside a lethal one would count as other losses and excuse it."""
    many = Ledger(tasks(20), lambda event: None)
    killer, _ = many.take()
    for attempt in range(1, ledger.ATTEMPTS):
        beside, _ = many.take()
        many.lost([beside, killer], "killed")
        assert many.take()[0] == beside
        many.done(beside, summary(CASE, beside.shard))
        assert many.take() == (killer, attempt + 1)
    with pytest.raises(RunError, match=f"{killer} lost its worker {ledger.ATTEMPTS} times"):
        many.lost([killer], "killed")
