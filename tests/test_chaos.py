"""A short session of fault injection on worker processes and a folder; and tests of its comparison, journal and judge.
The full session is `make chaos`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from basins.execution.run import run
from basins.store import files_at
from chaos.compare import compare, contents
from chaos.deal import SHARES, counts, episodes
from chaos.experiment import lay_down
from chaos.faults import KINDS, Injected
from chaos.journal import Journal
from chaos.judge import JUDGES, Evidence, judge

ROOT = Path(__file__).resolve().parent.parent
SHORT = "worker killed,worker killed in a put,driver killed"


def test_a_short_session_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "chaos"
    command = [sys.executable, "-m", "chaos", "--scenes", "processes", "--faults", "3", "--shards", "6"]
    told = subprocess.run(
        [*command, "--deadline", "60", "--kinds", SHORT, "--out", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
    faults = [json.loads(line) for line in (out / "chaos.jsonl").read_text().splitlines()]
    hits = [fault["kind"] for fault in faults if fault["hit"]]
    assert set(hits) == set(SHORT.split(","))
    assert "0 rows lost, 0 doubled, every byte the same" in (out / "tally.txt").read_text()


def test_the_comparison_detects_a_bit_a_lost_file_a_foreign_file_and_debris(tmp_path: Path) -> None:
    _, experiment = lay_down(tmp_path, 1, 4)
    run(experiment, tmp_path / "run", on="inline")
    files = files_at(tmp_path / "run")
    whole = contents(files)
    assert compare(files, whole).wrong() == []
    first, second = sorted(path for path in whole if path.startswith("trajectories/"))[:2]
    damaged = bytearray(whole[first])
    damaged[100] ^= 1
    assert compare(files, whole | {first: bytes(damaged)}).different == [first]
    files.delete(second)
    lacking = compare(files, whole)
    assert lacking.absent == [second]
    assert lacking.lost > 0
    files.put(second, whole[second])
    (tmp_path / "run" / "trajectories" / ".half.1-0a.tmp").touch()
    files.put("trajectories/left", b"over")
    seen = compare(files, whole)
    assert (seen.foreign, seen.debris) == (["trajectories/left"], ["trajectories/.half.1-0a.tmp"])


def test_the_journal_reports_which_process_holds_which_shard(tmp_path: Path) -> None:
    def say(pid: int, event: str, **what: object) -> None:
        with (tmp_path / f"{pid}.jsonl").open("a") as file:
            file.write(json.dumps({"t": 1.0, "pid": pid, "parent": 1, "job": None, "event": event, **what}) + "\n")

    journal = Journal(tmp_path, "run")
    say(7, "begin", run="run", case="c", shard=3, attempt=1)
    say(8, "begin", run="run", case="c", shard=4, attempt=2)
    say(9, "begin", run="another", case="c", shard=5, attempt=1)
    say(8, "put", path="visits/case=c/part-00000004.parquet")
    assert {(one.pid, one.shard, one.phase) for one in journal.look().held()} == {
        (7, 3, "computing"),
        (8, 4, "putting visits"),
    }
    say(7, "end", case="c", shard=3, attempt=1, computed=True)
    assert [one.pid for one in journal.look().held()] == [8]


def test_every_planned_kind_can_be_injected_and_judged() -> None:
    kinds = {kind for shares in SHARES.values() for kind in shares}
    assert kinds == set(KINDS) == set(JUDGES)
    assert sum(counts(list(SHARES), 100).values()) == 100


def test_an_episode_has_one_second_driver_first_and_one_death_of_a_head_last() -> None:
    kinds = [kind for kind, share in SHARES["ray"].items() for _ in range(share)]
    dealt = episodes("ray", kinds, random.Random(1))
    assert sorted(kind for hand in dealt for kind in hand) == sorted(kinds)
    for hand in dealt:
        for kind, place in (("second driver", 0), ("head killed", len(hand) - 1)):
            assert [k for k, one in enumerate(hand) if one == kind] in ([], [place])


def test_a_stopped_raylet_is_judged_by_the_shards_its_workers_held_when_given_up(tmp_path: Path) -> None:
    def say(t: float, pid: int, event: str, **what: object) -> None:
        entry = {"t": t, "pid": pid, "parent": 70 if pid == 7 else 80, "job": "01", "event": event, "case": "c", **what}
        with (tmp_path / f"{pid}.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    journal = Journal(tmp_path, "run")
    for pid, shard, t in ((7, 1, 9.0), (8, 2, 9.5), (7, 3, 12.0), (8, 4, 12.0)):  # the node goes on to shard 3
        say(t, pid, "begin", run="run", shard=shard, attempt=1)
    for pid, shard in ((7, 1), (8, 2), (8, 4)):
        say(13.0, pid, "end", shard=shard, attempt=1, computed=True)
    say(16.0, 8, "begin", run="run", shard=3, attempt=2)
    say(17.0, 8, "end", shard=3, attempt=2, computed=True)
    lost = {"event": "AttemptLost", "case": "c", "attempt": 1, "cause": "its node died"}
    told = [lost | {"shard": shard, "time": t} for shard, t in ((3, 14.0), (2, 9.9), (2, 14.0), (3, 99.0))]
    fault = Injected("raylet stopped", "SIGSTOP", (70,), journal.look().held(at=10.0), at=10.0, undone=30.0)
    outcome = judge(fault, Evidence(journal, told, []))
    assert outcome.phases == ["at a stopped node"]
    assert outcome.recovered == ["retry"]
    assert not judge(fault, Evidence(journal, [lost | {"shard": 2, "time": 14.0}], [])).hit
