"""The contract of basins/execution/base.py, tested on every runner. Failures are scripted and calls are counted."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from driver import started
from experiments import data_files, tiny
from standins import CASE, calls, script, scripted, spans, summary, tasks

from basins.errors import RunError
from basins.execution import ledger
from basins.execution.base import ONE_THREAD, Runner
from basins.execution.ledger import Ledger, failure
from basins.execution.pool import WRITING
from basins.execution.processes import Processes
from basins.execution.run import run
from basins.execution.shard import Task
from basins.progress import AttemptLost, Event, Listener, ShardDone

Make = Callable[..., Runner]
SCRIPTED = "standins:scripted"


def run_tasks(runner: Runner, folder: Path, count: int, workers: int = 2) -> list[Event]:
    """The events of `count` tasks done by the runner."""
    events: list[Event] = []
    runner.run(tasks(count), str(folder), workers, events.append)
    return events


def check_all_done(runner: Runner, folder: Path, table: dict[tuple[int, int], str], count: int = 6) -> None:
    """Every shard is reported once, after as many attempts as the table says, each of them begun once."""
    script(folder, table)
    events = run_tasks(runner, folder, count)
    lost = Counter(shard for (shard, _), what in table.items() if what in ("kill", "stall"))
    done = {event.summary.task.shard: event.attempt for event in events if isinstance(event, ShardDone)}
    assert done == {shard: 1 + lost[shard] for shard in range(count)}
    assert sum(isinstance(event, ShardDone) for event in events) == count
    lost_events = sorted((e.task.shard, e.attempt) for e in events if isinstance(e, AttemptLost))
    assert lost_events == sorted(at for at, what in table.items() if what in ("kill", "stall"))
    if runner.name in ("processes", "ray"):
        assert all(call["environment"] == ONE_THREAD for call in calls(folder))
    begun = Counter((call["shard"], call["attempt"]) for call in calls(folder))
    assert begun == {(shard, a): 1 for shard in range(count) for a in range(1, 2 + lost[shard])}


def check_failure_is_raised(runner: Runner, folder: Path) -> None:
    """A shard that raises is tried once and named with its cause."""
    script(folder, {(3, 1): "raise"})
    with pytest.raises(RunError, match=f"shard 3 of case {CASE} failed: ValueError: scripted failure") as raised:
        run_tasks(runner, folder, 5, workers=1)
    assert isinstance(raised.value.__cause__, ValueError)
    assert [call["attempt"] for call in calls(folder) if call["shard"] == 3] == [1]


# --- every runner ----------------------------------------------------------------------------------------------------


def test_every_task_is_done_once(make: Make, tmp_path: Path) -> None:
    check_all_done(make(work=SCRIPTED), tmp_path, {})


def test_an_empty_list_of_tasks_returns_at_once(make: Make, tmp_path: Path) -> None:
    assert run_tasks(make(work=SCRIPTED), tmp_path, 0) == []


def test_a_shard_that_raises_fails_the_run(make: Make, tmp_path: Path) -> None:
    check_failure_is_raised(make(work=SCRIPTED), tmp_path)


def test_a_refusal_keeps_its_three_parts(make: Make, tmp_path: Path) -> None:
    script(tmp_path, {(1, 1): "refuse"})
    with pytest.raises(RunError) as raised:
        run_tasks(make(work=SCRIPTED), tmp_path, 3, workers=1)
    error = raised.value
    expected = (f"shard 1 of case {CASE}: scripted refusal", "the script", "change the script")
    assert (error.what, error.where, error.remedy) == expected


def test_the_text_of_an_unpicklable_exception_is_kept(make: Make, tmp_path: Path) -> None:
    script(tmp_path, {(0, 1): "unpicklable"})
    with pytest.raises(RunError, match="Local: cannot travel"):
        run_tasks(make(work=SCRIPTED), tmp_path, 1)


def test_an_interrupt_is_raised_again(make: Make, tmp_path: Path) -> None:
    """KeyboardInterrupt between two shards, while a third stalls: it is raised at once, and no worker is left."""
    script(tmp_path, {(2, 1): "stall"})
    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        make(work=SCRIPTED).run(tasks(8), str(tmp_path), 2, interrupt)
    assert time.monotonic() - begun < 20
    workers = {call["pid"] for call in calls(tmp_path) if call["shard"] == 2} - {os.getpid()}
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "the stalled worker is still there"
        time.sleep(0.05)


def test_slow_shards_are_waited_for_and_at_most_one_shard_per_worker_is_in_flight(make: Make, tmp_path: Path) -> None:
    check_all_done(make(work=SCRIPTED), tmp_path, dict.fromkeys([(0, 1), (1, 1), (3, 1)], "slow"))
    assert max(sum(begun <= now < ended for begun, ended in spans(tmp_path)) for now, _ in spans(tmp_path)) <= 2


def test_the_same_bytes_on_any_runner_with_any_number_of_workers(make: Make, undisturbed: Path, tmp_path: Path) -> None:
    expected = data_files(undisturbed)
    assert sum(name.startswith("trajectories/") for name in expected) == 9
    for workers in (1, 2, 3):
        run(tiny(), tmp_path / str(workers), on=make(), workers=workers)
        assert data_files(tmp_path / str(workers)) == expected


# --- runners whose workers can die -----------------------------------------------------------------------------------


def test_killed_workers_lose_no_shard(make_remote: Make, tmp_path: Path) -> None:
    check_all_done(make_remote(work=SCRIPTED), tmp_path, {(2, 1): "kill", (2, 2): "kill", (4, 1): "kill"})


def test_a_shard_that_kills_every_worker_fails_the_run(
    make_remote: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "ATTEMPTS", 2)
    script(tmp_path, dict.fromkeys([(1, attempt) for attempt in range(1, 9)], "kill"))
    with pytest.raises(RunError, match=f"shard 1 of case {CASE} lost its worker 2 times"):
        run_tasks(make_remote(work=SCRIPTED), tmp_path, 2, workers=1)
    assert sum(call["shard"] == 1 for call in calls(tmp_path)) == 2


def test_a_shard_past_its_deadline_is_given_to_another_worker(make_remote: Make, tmp_path: Path) -> None:
    """Workers run already, as in the middle of a run, since Ray's deadline includes their start."""
    (tmp_path / "before").mkdir()
    runner = make_remote(work=SCRIPTED)
    check_all_done(runner, tmp_path / "before", {}, count=3)
    deadline = 4.0 if runner.name == "ray" else 1.0
    check_all_done(make_remote(work=SCRIPTED, deadline=deadline), tmp_path, {(1, 1): "stall"}, count=3)


def test_an_import_error_of_the_work_is_reported(make_remote: Make, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No module named 'nowhere'"):
        run_tasks(make_remote(work="nowhere:work"), tmp_path, 1)


def test_workers_that_die_at_their_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RunError, match="workers do not start: exit status 1"):
        run_tasks(Processes(work=SCRIPTED), tmp_path, 3)


# --- a running Ray ---------------------------------------------------------------------------------------------------


def test_a_cluster_at_an_address_is_joined_and_left(
    one_ray: None, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process joins this one's Ray by RAY_ADDRESS and its token, and does not end it."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    with started(tmp_path / "run", "ray", 2) as driver:
        _, errors = driver.communicate(timeout=120)
        assert driver.returncode == 0, errors
    assert data_files(tmp_path / "run") == data_files(undisturbed)
    assert ray.get(ray.put("alive")) == "alive"


def test_a_cluster_with_another_token_is_refused_before_anything_is_written(
    one_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    with pytest.raises(RunError, match="has another token; give the cluster's own in RAY_AUTH_TOKEN_PATH"):
        run(tiny(), tmp_path / "run", on="ray", address=ray.get_runtime_context().gcs_address)
    assert not (tmp_path / "run").exists()


# --- the suite detects faulty runners --------------------------------------------------------------------------------


class Broken:
    """A runner with one fault."""

    name = "broken"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def check(self) -> None: ...

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        ledger = Ledger(tasks, on_event)
        while ledger.unfinished:
            task, attempt = ledger.take()
            if self.fault == "drops" and task.shard == 3:
                del ledger.in_flight[task]
                continue
            try:
                result = scripted(run_path, task.case, task.shard, attempt)()
                if self.fault == "works twice" and task.shard == 1:
                    scripted(run_path, task.case, task.shard, attempt)
            except ValueError as error:
                if self.fault == "swallows":
                    ledger.done(task, summary(task.case, task.shard))
                    continue
                if self.fault == "retries":
                    ledger.lost([task], "an exception")
                    continue
                raise failure(task, error) from error
            ledger.done(task, result)
            if self.fault == "reports twice" and task.shard == 2:
                on_event(ShardDone(result, attempt))


@pytest.mark.parametrize("fault", ["drops", "works twice", "reports twice"])
def test_a_faulty_runner_fails_the_suite(fault: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_all_done(Broken(fault), tmp_path, {})


@pytest.mark.parametrize("fault", ["swallows", "retries"])
def test_a_runner_that_hides_a_failure_fails_the_suite(fault: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_failure_is_raised(Broken(fault), tmp_path)


def test_a_runner_without_fault_passes_the_suite(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    check_all_done(Broken("none"), tmp_path / "a", {})
    check_failure_is_raised(Broken("none"), tmp_path / "b")


# --- a shard is committed while the next is integrated ---------------------------------------------------------------


def together(folder: Path) -> float:
    """Seconds during which an integration and a commit ran at the same time."""
    return sum(
        max(0.0, min(ended, until) - max(begun, since))
        for begun, ended in spans(folder)
        for since, until in spans(folder, "commits")
    )


def test_a_worker_integrates_and_commits_at_once(make_remote: Make, tmp_path: Path) -> None:
    """One worker, six shards, 0.4 s in each of its two threads."""
    script(tmp_path, {(shard, 1): "slow and slow at commit" for shard in range(6)})
    run_tasks(make_remote(work=SCRIPTED), tmp_path, 6, workers=1)
    assert together(tmp_path) > 5 * 0.4 / 2, "five commits had an integration to run beside"


def test_a_worker_holds_at_most_two_uncommitted_shards(make_remote: Make, tmp_path: Path) -> None:
    """If the store is slower than the integrator, the integrator waits; otherwise rows would fill the memory."""
    script(tmp_path, {(shard, 1): "slow at commit" for shard in range(8)})
    run_tasks(make_remote(work=SCRIPTED), tmp_path, 8, workers=1)
    integrated, committed = spans(tmp_path), spans(tmp_path, "commits")
    held = [sum(e <= now for _, e in integrated) - sum(e <= now for _, e in committed) for now, _ in integrated]
    assert max(held) <= WRITING


def test_a_commit_that_raises_fails_the_run(make: Make, tmp_path: Path) -> None:
    script(tmp_path, {(2, 1): "raise at commit"})
    with pytest.raises(RunError, match=f"shard 2 of case {CASE} failed: ValueError: scripted failure"):
        run_tasks(make(work=SCRIPTED), tmp_path, 4, workers=1)


def test_a_worker_that_dies_at_a_commit_also_loses_the_shard_it_integrates(make_remote: Make, tmp_path: Path) -> None:
    script(tmp_path, {(0, 1): "kill at commit", (1, 1): "stall"})
    events = run_tasks(make_remote(work=SCRIPTED), tmp_path, 4, workers=1)
    assert sorted((e.task.shard, e.attempt) for e in events if isinstance(e, AttemptLost)) == [(0, 1), (1, 1)]
    done = {e.summary.task.shard: e.attempt for e in events if isinstance(e, ShardDone)}
    assert done == {0: 2, 1: 2, 2: 1, 3: 1}


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
