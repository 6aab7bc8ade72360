"""A dynamics outside the package, from its TOML to certificate, estimate, figure and report, on two processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from euler import Euler

from basins import Problem
from basins.cli import main
from basins.errors import ArgumentError, BasinsError
from basins.execution.run import run
from basins.experiment import Case, Experiment
from basins.laws import Gaussian, Planted
from basins.run_tables import open_run
from basins.verify import verify

HERE = Path(__file__).parent
WELLS = HERE.parent / "landscapes"

TEXT = """
name = "descent"
seed = 5
trajectories = 3_000
visits_every = 30

[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2

[network]
hidden = [2, 2]

[dynamics]
kind = "euler:Euler"
rate = 0.05

[[case]]
name = "descent"
law = { name = "gaussian", scale = 0.5 }

[[case]]
name = "control"
trajectories = 512
law = { name = "planted", modes = [0], scale = 0.5 }
"""

WELL = """
name = "wells"
seed = 3
trajectories = 2_000

[landscape]
kind = "double_well:DoubleWell"
dimensions = 3

[dynamics]
kind = "euler:Euler"
rate = 0.1

[law]
name = "gaussian"
scale = 0.7
"""


@pytest.fixture(scope="module")
def descent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, by two worker processes that have to find the dynamics by its import path."""
    out = tmp_path_factory.mktemp("descent") / "run"
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        patch.setenv("PYTHONPATH", path)
        run(Experiment.from_toml(TEXT, Path()), out=out, on="processes", workers=2)
    return out


def test_every_row_is_certified_under_the_dynamics(descent: Path) -> None:
    rows = open_run(descent).trajectories()
    free, control = (rows[rows["case"] == case] for case in open_run(descent).cases()["case"])
    assert set(free["verdict"]) == {"minimum"}
    assert set(free["certificate"]) == {"trap"}
    assert set(control["verdict"]) == {"saddle"}
    assert set(control["certificate"]) == {"invariant"}
    assert (rows["t"] == rows["t"].round()).all(), "time counts steps"
    assert (rows["rejected"] == 0).all()
    assert rows["drift"].isna().all()


def test_bytes_are_the_same_inline(descent: Path, tmp_path: Path) -> None:
    run(Experiment.from_toml(TEXT, Path()), out=tmp_path / "run", on="inline")
    files = [path.relative_to(descent) for path in descent.rglob("*.*") if "telemetry" not in path.parts]
    assert files
    assert all((tmp_path / "run" / path).read_bytes() == (descent / path).read_bytes() for path in files)


def test_text_reads_back_and_the_key_names_the_dynamics() -> None:
    found = Experiment.from_toml(TEXT, Path())
    assert Experiment.from_toml(found.text, Path()).digest == found.digest
    flow = Experiment.from_toml(TEXT.replace('[dynamics]\nkind = "euler:Euler"\nrate = 0.05\n', ""), Path())
    other = Experiment.from_toml(TEXT.replace("rate = 0.05", "rate = 0.06"), Path())
    keys = {one.cases[0].key for one in (found, flow, other)}
    assert len(keys) == 3
    assert "dynamics" not in flow.text


def test_rate_can_be_swept() -> None:
    text = TEXT.replace("rate = 0.05\n", "") + '\n[sweep]\n"dynamics.rate" = [0.01, 0.1]\n'
    found = Experiment.from_toml(text, Path())
    assert [one.dynamics.descent_rate for one in found.cases] == [0.01, 0.1, 0.01, 0.1]


def test_python_gives_the_same_experiment() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    cases = [
        Case(problem, Gaussian(0.5), 3_000, name="descent", dynamics=Euler(0.05)),
        Case(problem, Planted((0,), scale=0.5), 512, name="control", dynamics=Euler(0.05)),
    ]
    found = Experiment(cases=cases, seed=5, name="descent", visits_every=30)
    assert [one.key for one in found.cases] == [one.key for one in Experiment.from_toml(TEXT, Path()).cases]
    assert "Euler(rate=0.05" in repr(cases[0])
    alone = Experiment(problem, Gaussian(0.5), 3_000, seed=5, dynamics=Euler(0.05))
    assert alone.cases[0].key == found.cases[0].key
    for wrong in (Euler, "euler:Euler", 0.05):
        with pytest.raises(ArgumentError, match="is no dynamics"):
            Experiment(problem, Gaussian(0.5), 10, dynamics=wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="workers cannot import"):
        Case(problem, Gaussian(0.5), 10, dynamics=type("Local", (Euler,), {"__qualname__": "f.Local"})(0.1))


def test_estimate_counts_without_a_word_on_the_conjecture(descent: Path) -> None:
    case, control = open_run(descent).estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (3_000, 0, 0)
    assert case.saddle_measure.upper == pytest.approx(1 - 0.05 ** (1 / 3_000))
    assert (control.saddle, control.trajectories) == (512, 512)
    assert open_run(descent).cases()["dynamics"].tolist() == ["gradient descent, rate 0.05"] * 2


def test_it_verifies_and_says_why_no_label_is_checked(descent: Path) -> None:
    found = verify(descent, sample=20, blocks=2)
    assert found.findings == ()
    assert found.labels is not None
    assert "has no tolerances" in found.labels.skipped["descent"]


def test_commands_take_it(descent: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status("estimate", descent) == 0
    said = capfd.readouterr().out
    assert "gradient descent, rate 0.05" in said
    assert "conjecture" not in said.split("control")[0]
    assert status("plot", "survival", descent, "-o", tmp_path / "survival.svg") == 0
    assert "steps of gradient descent" in (tmp_path / "survival.svg").read_text()
    assert status("plot", "occupancy", descent, "--case", "descent", "-o", tmp_path / "occupancy.png") == 0
    assert status("report", descent, "-o", tmp_path / "report.html") == 0
    assert "gradient descent, rate 0.05" in (tmp_path / "report.html").read_text()
    assert status("status", descent) == 0


def test_rooms_of_the_flow_refuse_it_in_one_line(descent: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for command, words in (
        (("show", descent, "--case", "descent", "--id", 3), "available only for the gradient flow"),
        (("verify", descent, "--prove", 5), "rate 0.05, and proofs are of the gradient flow"),
    ):
        assert status(*command) == 2
        said = capfd.readouterr().err.strip()
        assert words in said, said
        assert "\n" not in said


def test_both_tenants_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient descent on the double well: both basins have measure one half, and every row is certified."""
    monkeypatch.syspath_prepend(str(WELLS))
    run(Experiment.from_toml(WELL, Path()), out=tmp_path / "run", on="inline")
    (case,) = open_run(tmp_path / "run").estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (2_000, 0, 0)
    shares = {one.of.name: one for one in case.strata}
    for name in ("minimum at -1", "minimum at +1"):
        assert shares[name].lower < 0.5 < shares[name].upper
    with pytest.raises(BasinsError, match="has no certificate for gradient descent"):
        Experiment.from_toml(WELL.replace("rate = 0.1", "rate = 0.6"), Path())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('kind = "euler:Euler"', 'kind = "nowhere:Nothing"'), "dynamics.kind: nowhere cannot be imported"),
        (('kind = "euler:Euler"', 'kind = "euler:EulerStep"'), "EulerStep has no from_table"),
        (('kind = "euler:Euler"\n', ""), "dynamics.kind: missing"),
        (('kind = "euler:Euler"', 'kind = ""'), "kind = ''"),
        (("rate = 0.05", "rate = 0.0"), "dynamics.rate"),
        (('kind = "euler:Euler"', 'kind = "basins.dynamics.gradient_flow:GradientFlow"'), "is continuous"),
        (("[dynamics]", "[engine]\nrtol = 1e-6\n\n[dynamics]"), "engine.rtol: rtol = 1e-06"),
        (("[dynamics]", '[engine]\nmethod = "DOP853"\n\n[dynamics]'), "engine.method: .* has no method"),
        (("[dynamics]", "[engine]\nt_end = 10.5\n\n[dynamics]"), "engine.t_end"),
    ],
)
def test_what_is_refused(change: tuple[str, str], words: str) -> None:
    assert change[0] in TEXT
    with pytest.raises(BasinsError, match=words):
        Experiment.from_toml(TEXT.replace(*change), Path())


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    return int(str(stopped.value.code))


assert str(HERE) in sys.path, "pytest puts a test's folder on the path, so that the dynamics can be imported"
