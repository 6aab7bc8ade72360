"""`run` end to end: the same bytes on any runner and after any kill, no shard lost, and what is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from driver import started
from experiments import data_files, tiny

import basins
from basins.errors import RunError
from basins.execution.inline import Inline
from basins.execution.processes import Processes
from basins.execution.run import run
from basins.execution.shard import Task, work
from basins.progress import AttemptLost, Event, Listener, RunEnded, RunStarted, ShardDone
from basins.run_tables import open_run


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the undisturbed run, to be damaged."""
    shutil.copytree(undisturbed, tmp_path / "copy")
    return tmp_path / "copy"


def part(run: Path, kind: str, shard: int, case: int = 0) -> Path:
    key = tiny().cases[case].key
    return run / kind / f"case={key}" / f"part-{shard:08d}.parquet"


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_the_comparison_detects_one_bit_and_one_extra_file(undisturbed: Path, copy: Path) -> None:
    expected = data_files(undisturbed)
    assert data_files(copy) == expected
    victim = part(copy, "visits", 3)
    content = victim.read_bytes()
    victim.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    assert data_files(copy) != expected
    victim.write_bytes(content)
    (copy / "trajectories" / "left over").touch()
    assert data_files(copy) != expected


def test_another_seed_gives_other_bytes(undisturbed: Path, tmp_path: Path) -> None:
    run(tiny(seed=8), tmp_path / "run", on="inline")
    assert part(tmp_path / "run", "trajectories", 0).read_bytes() != part(undisturbed, "trajectories", 0).read_bytes()


def test_reproducible_files_contain_no_clock_host_or_process(undisturbed: Path) -> None:
    telemetry = b"".join(path.read_bytes() for path in (undisturbed / "telemetry").iterdir())
    traces = [f'"host": "{socket.gethostname()}"', f'"pid": {os.getpid()}', f'"time": {time.time():.0f}'[:12]]
    assert all(trace.encode() in telemetry for trace in traces)
    for name, content in data_files(undisturbed).items():
        assert str(undisturbed).encode() not in content, name
        assert b"telemetry" not in content, name
        assert b"attempt" not in content, name


def test_digests_match_the_files(undisturbed: Path) -> None:
    files = sorted(str(path.relative_to(undisturbed)) for path in (undisturbed / "digests").rglob("*.sha256"))
    checked = subprocess.run(["sha256sum", "-c", *files], cwd=undisturbed, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == 3 * 9


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_driver_killed_three_times_changes_no_byte(tmp_path: Path) -> None:
    """SIGKILL at three seeded moments, resumed each time; the work in progress is swept or done again."""
    longer = 60_000  # so many shards that none of the three sessions comes to its end before it is killed
    run(tiny(trajectories=longer), tmp_path / "undisturbed", on="inline")
    expected = data_files(tmp_path / "undisturbed")
    chance = random.Random(3)
    left = shards = len(list((tmp_path / "undisturbed").glob("trajectories/*/part-*")))
    for on in ("inline", "processes", "inline"):
        with started(tmp_path / "run", on, 2, longer) as driver:
            assert driver.stdout is not None
            events = [driver.stdout.readline().strip() for _ in range(1 + chance.randint(1, 2))]
            assert events[0] == "RunStarted"
            time.sleep(chance.uniform(0, 0.1))
            assert driver.poll() is None, "the driver ended before it could be killed"
            driver.kill()
        before, left = left, shards - len(list((tmp_path / "run").glob("trajectories/*/part-*")))
        assert 0 < left < before
    run(tiny(trajectories=longer), tmp_path / "run", on="inline")
    assert data_files(tmp_path / "run") == expected


@pytest.mark.slow
def test_a_driver_on_ray_killed_and_interrupted_changes_no_byte(undisturbed: Path, tmp_path: Path) -> None:
    """The same on an embedded Ray: SIGKILL, then Ctrl-C as a terminal sends it, then an undisturbed session."""
    for end, how in ((os.kill, signal.SIGKILL), (os.killpg, signal.SIGINT)):
        with started(tmp_path / "run", "ray", 2) as driver:
            assert driver.stdout is not None
            events = [driver.stdout.readline().strip() for _ in range(3)]
            assert events == ["RunStarted", "ShardDone", "ShardDone"]
            end(driver.pid, how)
            _, errors = driver.communicate(timeout=60)
            assert driver.returncode == -how, errors
    with started(tmp_path / "run", "ray", 2) as driver:
        assert driver.wait(120) == 0
    assert data_files(tmp_path / "run") == data_files(undisturbed)


def test_ctrl_c_stops_cleanly_and_the_same_command_resumes(undisturbed: Path, tmp_path: Path) -> None:
    """SIGINT to the whole process group, as a terminal sends it: exit by KeyboardInterrupt, no worker's traceback."""
    with started(tmp_path / "run", "processes", 2) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline().strip() == "RunStarted"
        assert driver.stdout.readline().strip() == "ShardDone"
        os.killpg(driver.pid, signal.SIGINT)
        said, errors = driver.communicate(timeout=30)
    assert driver.returncode == -signal.SIGINT
    assert said.split()[-1] == "RunEnded"
    assert errors.count("Traceback") == 1
    done = len(list((tmp_path / "run").glob("trajectories/*/part-*")))
    assert 1 <= done < 9
    counted: list[Event] = []
    run(tiny(), tmp_path / "run", on="inline", listeners=[counted.append])
    assert sum(isinstance(event, ShardDone) for event in counted) == 9 - done
    assert data_files(tmp_path / "run") == data_files(undisturbed)


def test_workers_killed_between_two_files_of_a_shard_change_no_byte(undisturbed: Path, tmp_path: Path) -> None:
    """The worker of each odd shard dies after writing visits, blocks and half of the rows; the shard is tried again."""
    events: list[Event] = []
    runner = Processes(work="standins:work_once_then_die")
    run(tiny(), tmp_path / "run", on=runner, workers=3, listeners=[events.append])
    attempts = {e.summary.task: e.attempt for e in events if isinstance(e, ShardDone)}
    assert len(attempts) == 9
    lost = Counter(event.task for event in events if isinstance(event, AttemptLost))
    assert lost == Counter({task: attempt - 1 for task, attempt in attempts.items() if attempt > 1})
    odd = {task for task in attempts if task.shard % 2}
    assert len(odd) == 4
    assert odd <= set(lost), "an even shard is lost only if its worker died at the commit of an odd one"
    assert list((tmp_path / "run").rglob(".*.tmp"))
    run(tiny(), tmp_path / "run", on="inline")
    assert not list((tmp_path / "run").rglob(".*.tmp"))
    assert data_files(tmp_path / "run") == data_files(undisturbed)
    said = [
        json.loads(line) for log in (tmp_path / "run" / "telemetry").iterdir() for line in log.read_text().splitlines()
    ]
    recorded = {Task(e["case"], e["shard"]): e["attempt"] for e in said if e["event"] == "ShardDone"}
    assert recorded == attempts
    assert sum(entry["event"] == "AttemptLost" for entry in said) == lost.total()


def test_two_drivers_on_one_run_do_no_harm(undisturbed: Path, tmp_path: Path) -> None:
    with started(tmp_path / "run", "inline", 1) as one, started(tmp_path / "run", "inline", 1) as other:
        for driver in (one, other):
            _, errors = driver.communicate(timeout=60)
            assert driver.returncode == 0, errors
    assert data_files(tmp_path / "run") == data_files(undisturbed)


# --- resumed, lost, damaged ------------------------------------------------------------------------------------------


def test_a_run_started_again_computes_only_missing_shards(copy: Path, undisturbed: Path) -> None:
    part(copy, "trajectories", 2).unlink()
    part(copy, "blocks", 5).unlink()
    found = open_run(copy)
    key = tiny().cases[0].key
    assert found.missing() == {key: [2, 5]}
    assert found.contiguous_prefix(key) == 2
    assert list(found.trajectories(key, ["id"], contiguous=True)["id"]) == list(range(2048))
    events: list[Event] = []
    run(tiny(), copy, on="inline", listeners=[events.append])
    assert [e.summary.task for e in events if isinstance(e, ShardDone)] == [Task(key, 2), Task(key, 5)]
    assert events[0] == RunStarted(str(copy), "inline", None, 8500, 8500 - 2048, 9, 7)
    assert events[-1] == RunEnded(complete=True)
    assert data_files(copy) == data_files(undisturbed)
    events.clear()
    run(tiny(), copy, on="inline", listeners=[events.append])
    assert [type(event) for event in events] == [RunStarted, RunEnded]


class Forgetful(Inline):
    """A runner that loses a shard."""

    name = "forgetful"

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        super().run([task for task in tasks if task.shard != 4], run_path, workers, on_event)


def test_a_run_that_ends_with_a_shard_missing_names_it(undisturbed: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(RunError, match=r"ended with shards missing: shard 4 of case 'gaussian'") as raised:
        run(tiny(), tmp_path / "run", on=Forgetful(), listeners=[events.append])
    assert raised.value.remedy.startswith("run again")
    assert events[-1] == RunEnded(complete=False)
    run(tiny(), tmp_path / "run", on="inline")
    assert data_files(tmp_path / "run") == data_files(undisturbed)


def test_a_shard_deleted_during_the_run_is_reported(tmp_path: Path) -> None:
    def lose(event: Event) -> None:
        if isinstance(event, ShardDone) and event.summary.task.shard == 6:
            part(tmp_path / "run", "trajectories", 3).unlink()

    with pytest.raises(RunError, match="shard 3 of case 'gaussian'"):
        run(tiny(), tmp_path / "run", on="inline", listeners=[lose])


def test_a_failed_shard_leaves_the_others(undisturbed: Path, tmp_path: Path) -> None:
    class Failing(Inline):
        def __init__(self) -> None:
            def failing(path: str, case: str, shard: int, attempt: int) -> object:
                if shard == 5:
                    raise ZeroDivisionError("in shard 5")
                return work(path, case, shard, attempt)

            self.work = failing  # type: ignore[assignment]

    events: list[Event] = []
    with pytest.raises(RunError, match=r"shard 5 .*ZeroDivisionError: in shard 5"):
        run(tiny(), tmp_path / "run", on=Failing(), listeners=[events.append])
    assert events[-1] == RunEnded(complete=False)
    expected = data_files(undisturbed)
    there = data_files(tmp_path / "run")
    assert sum(name.startswith("trajectories/") for name in there) == 5 + 2  # the cases take turns
    assert all(expected[name] == content for name, content in there.items() if not name.startswith("digests/"))
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "run").rglob("*.sha256")) == 3 * 7


@pytest.mark.parametrize("kind", ["visits", "blocks", "trajectories"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "not Parquet", "of another shard"])
def test_a_damaged_file_is_named_and_other_files_are_kept(
    kind: str, damage: str, copy: Path, undisturbed: Path
) -> None:
    victim = part(copy, kind, 1)
    content = victim.read_bytes()
    damaged = {
        "truncated": content[: len(content) // 2],
        "emptied": b"",
        "not Parquet": b"id,verdict\n1,minimum\n",
        "of another shard": part(copy, kind, 2).read_bytes(),
    }[damage]
    victim.write_bytes(damaged)
    before = data_files(copy)
    with pytest.raises(RunError, match=victim.name) as raised:
        run(tiny(), copy, on="inline")
    assert str(victim.relative_to(copy)) in raised.value.what
    assert raised.value.remedy.startswith("move it away and run again")
    assert data_files(copy) == before
    victim.rename(copy.with_name("set aside"))
    run(tiny(), copy, on="inline")
    assert data_files(copy) == data_files(undisturbed)


def test_a_shard_computed_again_to_other_bytes_is_refused(copy: Path) -> None:
    """The digests still describe the lost file."""
    digests = next((copy / "digests" / f"case={tiny().cases[0].key}").iterdir())
    lines = digests.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if "trajectories" in line and "part-00000002" in line)
    lines[place] = "0" * 64 + lines[place][64:]
    digests.write_text("\n".join(lines) + "\n")
    part(copy, "trajectories", 2).unlink()
    with pytest.raises(RunError, match=r"shard 2 .*computed again to other bytes"):
        run(tiny(), copy, on="inline")


def test_digests_that_a_killed_driver_did_not_write_are_made_from_the_shards(copy: Path, undisturbed: Path) -> None:
    shutil.rmtree(copy / "digests")
    run(tiny(), copy, on="inline")
    assert data_files(copy) == data_files(undisturbed)


# --- refused ---------------------------------------------------------------------------------------------------------


def _refused(path: Path, **changes: float) -> RunError:
    before = data_files(path)
    with pytest.raises(RunError) as raised:
        run(tiny(**changes), path, on="inline")  # type: ignore[arg-type]
    assert data_files(path) == before
    return raised.value


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 8}, "seed = 7 there, 8 here"),
        ({"blocks_per_shard": 2}, "blocks_per_shard = 1 there, 2 here"),
        ({"sigma": 2.0}, "case[gaussian].data.sigma = [1.0] there, [2.0] here"),
    ],
)
def test_a_run_of_another_experiment_is_refused_naming_the_difference(
    changes: dict[str, float], named: str, copy: Path
) -> None:
    error = _refused(copy, **changes)
    assert error.what.startswith("a run of another experiment")
    assert error.what.count(" there, ") == named.count(" there, ") * (2 if "sigma" in changes else 1)
    assert named in error.what
    assert "--out" in error.remedy


def test_a_run_of_other_versions_is_refused_naming_them(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["versions"] |= {"numpy": "1.0.0", "basins": "0.0.1"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    error = _refused(copy)
    assert f"basins = 0.0.1 there, {basins.__version__} here" in error.what
    assert "numpy = 1.0.0 there" in error.what


def test_a_data_file_that_changed_is_refused(tmp_path: Path) -> None:
    from basins.experiment import Experiment

    text = """
        name = "own data"
        seed = 1
        trajectories = 10
        data = { path = "data.csv", targets = ["y"] }
        network = { hidden = [1] }
        law = { name = "gaussian", scale = 0.5 }
        engine = { name = "reference", budget = 1 }
    """
    (tmp_path / "data.csv").write_text("x,y\n1,2\n2,3\n")
    run(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")
    (tmp_path / "data.csv").write_text("x,y\n1,2\n2,3.5\n")
    with pytest.raises(RunError, match="the data of case 'own data' has changed"):
        run(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")


def test_a_folder_that_is_not_a_run_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    error = _refused(tmp_path)
    assert "not a run" in error.what
    assert "thesis.tex" in error.what
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="not a run"):
        open_run(tmp_path)


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/none/run")):
        with pytest.raises(RunError, match=r"cannot write experiment\.toml") as raised:
            run(tiny(), place, on="inline")
        assert "give a folder that can be written" in raised.value.remedy
    assert (tmp_path / "file").read_text() == "not a folder"


def test_an_address_without_a_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"no store for gs:// addresses; give a local path, or s3://BUCKET/PREFIX"):
        run(tiny(), "gs://bucket/run", on="inline")
    with pytest.raises(RunError, match=r"the address has lost a slash; .* as text, not as a Path"):
        run(tiny(), Path("s3://bucket/run"), on="inline")
    assert not list(tmp_path.iterdir())


def test_a_run_whose_creation_was_killed_is_created_again(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(undisturbed / "experiment.toml", tmp_path / "run")
    (tmp_path / "run" / ".cases.parquet.1-ab.tmp").write_bytes(b"half")
    run(tiny(), tmp_path / "run", on="inline")
    assert data_files(tmp_path / "run") == data_files(undisturbed)
