"""A run of many cases on the command line: a table, and what is not as it should be in full."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from made_runs import CONTROL, Fates, experiment, made

from basins import cli
from basins.run_tables import Run

N = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """24 cases with a density, of which one has a saddle, one a censored row and one has not begun; and a control."""
    cases = "".join(
        f'[[case]]\nname = "c{k}"\nlaw = {{ name = "gaussian", scale = {0.1 + k / 10:.1f} }}\n' for k in range(24)
    )
    fates = {f"c{k}": Fates(1.0, {3: 1} if k == 9 else {}, (4,) if k == 11 else ()) for k in range(24) if k != 13}
    fates["control"] = Fates(1.0, dict.fromkeys(range(N), 1))
    return made(tmp_path_factory.mktemp("many"), experiment(N, cases + CONTROL), fates)


def said(*arguments: str) -> str:
    done = CliRunner().invoke(cli.main, ["estimate", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_row_a_case_and_saddles_in_full(run: Run) -> None:
    output = said(run.path)
    headings = [line.split("  ")[0] for line in output.splitlines() if line and not line.startswith(" ")]
    assert headings == ["25 cases", "c9", "pooled"]
    rows = {line.split()[0]: line.split() for line in output.splitlines()[2:27]}
    assert len(rows) == 25
    assert rows["c11"][-5:-1] == ["40", "39", "0", "1"]
    assert rows["c13"][-7:-1] == ["0", "of", "40", "0", "0", "0"]
    assert rows["control"][-1] == "null"
    assert "21 cases, 840 trajectories: no saddle, none censored." in " ".join(output.split())
    assert "1 control: 100 % saddle where they were planted." in output


def test_one_case_in_full(run: Run) -> None:
    output = said(run.path, "--case", "c3")
    assert output.startswith("c3  ")
    assert "pooled" not in output
    assert json.loads(said(run.path, "--case", "c9", "--json"))["saddle"] == 1


def test_an_unknown_name_is_refused_without_listing_all_cases(run: Run) -> None:
    done = CliRunner().invoke(cli.main, ["estimate", run.path, "--case", "nowhere at all"])
    assert done.exit_code == 2
    assert "c0, c1" in done.stderr
    assert "... (50 in all)" in done.stderr
