"""The command `basins verify`: its output, its exit status, and the repair of a damaged run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result
from conftest import experiment  # type: ignore[attr-defined]
from damage import flip, key

from basins.cli import main
from basins.store.layout import part


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def test_a_run_without_fault(copied: Callable[..., Path]) -> None:
    run = copied()
    said = call("verify", run, "--sample", 20, "--blocks", 1)
    assert said.exit_code == 0, said.output
    assert "5 shards of 5 without fault, 2,532 trajectories" in said.stdout
    assert "1 block computed again: bit for bit the same" in said.stdout
    assert "minimum    with a density" in said.stdout
    assert "for `basins estimate`" in said.stdout
    assert all(len(line) <= 100 and line == line.rstrip() for line in said.stdout.splitlines())
    estimated = call("estimate", run).stdout
    assert "with label error included: below" in estimated
    assert "minima checked 0 disagree" in " ".join(estimated.split())


def test_damage_gives_exit_status_2_and_one_line(copied: Callable[..., Path]) -> None:
    run = copied()
    name = part("trajectories", key(run), 1)
    flip(run / name, 900, 1)
    said = call("verify", run, "--sample", 0, "--blocks", 0)
    assert said.exit_code == 2
    (line,) = said.stderr.splitlines()
    assert line == (
        f"error: {run}: damaged: {name}: its SHA-256 is not that of the digests; `basins verify RUN --repair` sets "
        "damage aside, and the run's command computes it again"
    )
    assert f"DAMAGED: {name}" in " ".join(said.stdout.split())
    found = json.loads(call("verify", run, "--sample", 0, "--blocks", 0, "--json").stdout)
    assert [(one["path"], one["case"], one["shard"]) for one in found["damage"]] == [(name, key(run), 1)]

    repaired = call("verify", run, "--sample", 0, "--blocks", 0, "--repair")
    assert repaired.exit_code == 0
    flat = " ".join(repaired.stdout.split())
    assert f"set aside: {name}" in flat
    assert "moved to set-aside/0001/ in the run; nothing was deleted. Give the run's command again" in flat
    after = call("verify", run, "--sample", 0, "--blocks", 0)
    assert after.exit_code == 0
    assert "1 shard missing (so far)" in after.stdout
    (run.parent / "to.toml").write_text(experiment().text)
    assert call("run", run.parent / "to.toml", "--out", run, "--on", "inline").exit_code == 0
    assert "5 shards of 5" in call("verify", run, "--sample", 0, "--blocks", 0).stdout


def test_verify_refuses_a_place_without_a_run(tmp_path: Path) -> None:
    said = call("verify", tmp_path)
    assert said.exit_code == 2
    assert "not a run: no manifest.json" in said.stderr
    assert call("verify", tmp_path, "--seed", "-1").exit_code == 2
