"""Every command in unusual environments: closed or full streams, broken pipes, an ASCII locale, a terminal of 20
columns, no home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from forked import PLACES

from basins.cli import main
from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.run_tables import open_run

ROOT = Path(__file__).parents[2]

TINY = """
name = "größe – Σ"
seed = 3
visits_every = 10
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2]
[engine]
name = "reference"
[[case]]
name = "größe – Σ"
trajectories = 20
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "control"
trajectories = 5
law = { name = "planted", modes = [0], scale = 0.5 }
[[case]]
name = "starved"
trajectories = 5
law = { name = "gaussian", scale = 0.5 }
engine = { budget = 40 }
"""

SINGLE = TINY[: TINY.index('[[case]]\nname = "control"')]
FAST = TINY.replace('[engine]\nname = "reference"\n', "")

ALL = tuple(PLACES)
SOME = ("into_files", "stdout_closed", "pipe_closed", "ascii_locale", "homeless")
"""The environments for commands that share their output code with those that are tried in all environments."""

FEW = ("pipe_closed", "ascii_locale", "homeless")
"""The environments for commands that take seconds."""

TAIL = ["--replicates", "4", "--population", "20", "--sweeps", "1", "--target", "0.05"]
NOWHERE = ["--address", "http://127.0.0.1:1"]

COMMANDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "help": (["--help"], ALL),
    "version": (["--version"], SOME),
    "help of one": (["run", "--help"], SOME),
    "examples": (["examples"], SOME),
    "an example": (["examples", "iris", "--to", "NEW"], SOME),
    "every key": (["help", "experiment"], SOME),
    "schema, JSON": (["help", "experiment", "--json-schema"], SOME),
    "run": (["run", "tiny.toml", "--on", "inline", "--out", "NEW"], ALL),
    "run again": (["run", "tiny.toml", "--on", "inline", "--out", "run"], SOME),
    "run, processes": (["run", "tiny.toml", "--on", "processes", "--workers", "1", "--out", "NEW"], FEW),
    "dry run": (["run", "tiny.toml", "--dry-run"], SOME),
    "job": (["job", "tiny.toml", "--on", "inline", "--out", "NEW"], SOME),
    "extend": (["extend", "COPY", "--budget", "1000", "--on", "inline"], ALL),
    "estimate": (["estimate", "run"], ALL),
    "estimate, one case": (["estimate", "run", "--case", "größe – Σ"], SOME),
    "estimate, JSON": (["estimate", "run", "--json"], SOME),
    "show": (["show", "run", "--case", "größe – Σ", "--id", "10"], ALL),
    "show, again": (["show", "run", "--case", "größe – Σ", "--id", "10", "--reintegrate"], SOME),
    "status": (["status", "run"], SOME),
    "status, watched": (["status", "run", "--watch"], ALL),
    "status, JSON": (["status", "run", "--json"], SOME),
    "describe": (["describe", "tiny.toml", "--case", "größe – Σ"], SOME),
    "verify": (["verify", "run", "--sample", "3", "--blocks", "1"], SOME),
    "verify, JSON": (["verify", "run", "--sample", "3", "--blocks", "1", "--json"], SOME),
    "plan": (["plan", "--bound", "1e-6"], ALL),
    "plan, JSON": (["plan", "--bound", "1e-6", "--json"], SOME),
    "codim": (["codim", "fast.toml", "--case", "größe – Σ", "--stratum", "3", "--samples", "200"], SOME),
    "codim, JSON": (["codim", "fast.toml", "--case", "control", "--stratum", "3", "--samples", "200", "--json"], FEW),
    "tail": (["tail", "fast.toml", "--case", "größe – Σ", "--on", "inline", "--out", "NEW", *TAIL], FEW),
    "plot": (["plot", "occupancy", "run", "-o", "NEW.png"], SOME),
    "compare": (["compare", "run", "COPY"], FEW),
    "plot, one": (["plot", "trajectory", "run", "--case", "größe – Σ", "--id", "3", "-o", "NEW.svg"], FEW),
    "report": (["report", "single", "-o", "NEW.html"], FEW),
    "saddle_measure": ([str(ROOT / "analysis" / "saddle_measure.py"), "run", "--out", "NEW"], SOME),
}
REFUSED: dict[str, list[str]] = {
    "estimate": ["estimate", "größe – Σ"],
    "run": ["run", "größe – Σ.toml"],
    "init": ["init", "größe – Σ.csv", "--targets", "y"],
    "usage": ["größe – Σ"],
    "submit": ["submit", "tiny.toml", "--out", "/tmp/x", *NOWHERE],
    "follow": ["follow", "größe – Σ", *NOWHERE],
    "stop": ["stop", "größe – Σ", *NOWHERE],
    "job": ["job", "größe – Σ", "--out", "x"],
    "migrate": ["migrate", "run", "--out", "größe – Σ"],
}
REFUSED_IN = ("into_files", "stderr_closed", "both_pipes_closed", "ascii_locale", "homeless")

Answer = tuple[int, str, str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiment and its finished run, and a run of its first case alone."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "fast.toml").write_text(FAST)
    run_module.run(Experiment.from_toml(TINY, folder), folder / "run", on="inline")
    run_module.run(Experiment.from_toml(SINGLE, folder), folder / "single", on="inline")
    return folder


@pytest.fixture(scope="module")
def answers(home: Path) -> Mapping[tuple[str, str], Answer]:
    """(command, place) -> status, standard output, standard error."""
    table = []  # type: ignore[var-annotated]
    keys = []
    refused = {f"refused {name}": (arguments, REFUSED_IN) for name, arguments in REFUSED.items()}
    for command, (arguments, places) in {**COMMANDS, **refused}.items():
        for place in places:
            number = len(table)
            if "COPY" in arguments:
                shutil.copytree(home / "run", home / f"copy{number}")
            here = [one.replace("NEW", f"new{number}").replace("COPY", f"copy{number}") for one in arguments]
            table.append((place, here))
            keys.append((command, place))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("forked.py")), str(home)],
        input=json.dumps(table),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (home / "table").write_text(json.dumps(dict(zip(map(str, keys), table, strict=True))))
    return {key: tuple(answer) for key, answer in zip(keys, found, strict=True)}


def test_every_command_is_tried() -> None:
    tried = {arguments[0] for arguments, _ in COMMANDS.values()} | {arguments[0] for arguments in REFUSED.values()}
    assert set(main.commands) <= tried


STATUS = {"pipe_closed": {141}, "both_pipes_closed": {141}, "stderr_pipe_closed": {0, 141}, "disk_full": {2}}
"""The exit statuses of commands that otherwise end with 0; the third depends on whether standard error is used."""


@pytest.mark.parametrize("place", ALL)
def test_successful_commands(answers: Mapping[tuple[str, str], Answer], place: str) -> None:
    for command, (_, places) in COMMANDS.items():
        if place in places:
            status, out, err = answers[command, place]
            assert status in STATUS.get(place, {0}), (command, status, err)
            assert "Traceback" not in out + err, command
            assert "unexpected" not in out + err, command


@pytest.mark.parametrize("place", REFUSED_IN)
def test_refused_commands(answers: Mapping[tuple[str, str], Answer], place: str) -> None:
    for command in REFUSED:
        status, out, err = answers[f"refused {command}", place]
        assert status == 2, (command, status, err)
        assert "Traceback" not in out + err, command
        if place not in ("stderr_closed", "both_pipes_closed"):
            assert err.startswith("error: ") or command == "job", (command, err)
            assert err.count("\n") == 1, (command, err)


def test_a_run_whose_pipes_are_closed_completes(answers: Mapping[tuple[str, str], Answer], home: Path) -> None:
    table = json.loads((home / "table").read_text())
    for command in ("run", "job"):
        for place in set(COMMANDS[command][1]) - {"disk_full"}:
            run = open_run(home / table[str((command, place))][1][-1])
            assert run.missing() == {}
            assert len(run.trajectories()) == 30
    for place in ("pipe_closed", "both_pipes_closed"):
        run = open_run(home / table[str(("extend", place))][1][1])
        assert len(run.layers) == 1
        assert (run.trajectories("starved").evaluations > 40).all()
    for command, name in (("plot", "occupancy.png"), ("report", "report.html")):
        file = home / table[str((command, "pipe_closed"))][1][-1]
        assert file.stat().st_size > 1000, name
    assert answers["run", "stderr_pipe_closed"][0] == 141
    folder = home / table[str(("saddle_measure", "pipe_closed"))][1][-1]
    into_files = home / table[str(("saddle_measure", "into_files"))][1][-1]
    assert {path.name for path in folder.iterdir()} == {path.name for path in into_files.iterdir()}


def test_an_ascii_locale_transliterates_text_and_keeps_json(answers: Mapping[tuple[str, str], Answer]) -> None:
    """Letters that the locale lacks are spelt out; the JSON values are the same."""
    for command in [*COMMANDS, *(f"refused {one}" for one in REFUSED)]:
        _, out, err = answers[command, "ascii_locale"]
        assert (out + err).isascii(), command
    assert "gr\\xf6\\xdfe - Sigma" in answers["estimate", "ascii_locale"][1]
    assert "größe – Σ" in answers["estimate", "into_files"][1]
    for command in ("estimate, JSON", "plan, JSON"):
        ours, usual = (json.loads(answers[command, place][1]) for place in ("ascii_locale", "into_files"))
        assert ours == usual
    for command in ("status, JSON", "verify, JSON", "codim, JSON"):
        json.loads(answers[command, "ascii_locale"][1])
    assert "größe" in answers["estimate, JSON", "into_files"][1], "UTF-8 where it can be"


def words(text: str) -> list[str]:
    return text.split()


def test_narrow_terminals_lose_nothing(answers: Mapping[tuple[str, str], Answer]) -> None:
    """Text is folded and tables stay whole: every word and every number is present."""
    for command in ("estimate", "plan", "show"):
        for place in ("narrow", "dumb"):
            out = answers[command, place][1]
            assert "\N{HORIZONTAL ELLIPSIS}" not in out, command
            for word in words(answers[command, "into_files"][1]):
                assert word in out, (command, place, word)
    assert "\x1b" in answers["estimate", "narrow"][1]
    assert "\x1b" not in answers["estimate", "dumb"][1]


def test_output_is_the_same_without_a_home(answers: Mapping[tuple[str, str], Answer], home: Path) -> None:
    for command in ("run again", "estimate", "show", "plan", "dry run"):
        first = answers[command, "into_files"][1].splitlines()
        assert len(first) > 3
        if command != "dry run":  # it measures its cost
            assert answers[command, "homeless"][1].splitlines() == first
    assert not (home / "~").exists()


@pytest.mark.parametrize("command", [["estimate", "run"], ["--help"]])
def test_a_new_process_handles_closed_streams(home: Path, command: list[str]) -> None:
    """The same in a new process, including its start, which the forked processes share."""
    basins = f'"{sys.executable}" -m basins.cli {" ".join(command)}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ascii_only = {**environment, "LC_ALL": "C"}
    for line, status, variables in (
        (f"{basins} >&-", 0, environment),
        (f"{basins} 2>&- >/dev/null", 0, environment),
        (f"{basins} <&- >&- 2>&-", 0, environment),
        (f"{basins} | true; exit ${{PIPESTATUS[0]}}", 141, environment),
        (f"{basins} >/dev/full", 2, environment),
        (f"{basins} >/dev/null", 0, ascii_only),
    ):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=variables, cwd=home)
        assert done.returncode == status, (line, done.stderr)
        said = "error: standard output: cannot be written: No space left on device; send it elsewhere\n"
        assert done.stderr == (said if status == 2 else ""), line
