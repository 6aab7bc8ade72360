"""An experiment built in Python is the one that its TOML gives, to the last byte; and what is none is refused."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_experiment import BASE, EXAMPLES

import basins
from basins.errors import ArgumentError, AssumptionWarning, BasinsError
from basins.execution.run import run
from basins.experiment import Case, Experiment
from basins.experiment.case import EngineSettings
from basins.experiment.document import Engine
from basins.integrators.base import Settings
from basins.laws import Balanced, Gaussian, He, NearPlanted, Planted, Uniform

RNG = np.random.default_rng(22)
X, Y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2))
SPECTRUM = basins.Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2, 2))
GAUSSIAN = Gaussian(0.5)


@pytest.fixture(scope="module")
def problem() -> basins.Problem:
    return basins.Problem.from_data(X, Y, hidden=(2,))


def shards(path: Path) -> dict[str, bytes]:
    """The files of all shards."""
    found = [file for kind in ("visits", "blocks", "trajectories") for file in (path / kind).rglob("*.parquet")]
    assert found
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


# --- the same as from TOML -----------------------------------------------------------------------------------------


def test_a_problem_and_a_law_are_the_experiment_of_the_toml() -> None:
    made = Experiment(SPECTRUM, GAUSSIAN, 10, seed=1, name="small")
    assert made.text == Experiment.from_toml(BASE).text
    assert made.digest == Experiment.from_toml(BASE).digest


def test_every_key_has_its_place() -> None:
    head = BASE.replace("seed = 1", 'seed = 7\nvisits_every = 5\nrows = "exceptions"\nblocks_per_shard = 4')
    text = head + '[engine]\nname = "reference"\nmethod = "Radau"\nrtol = 1e-6\nt_end = 5\nbudget = 7\n'
    made = Experiment(
        SPECTRUM, GAUSSIAN, np.int64(10), seed=np.uint8(7), name="small", visits_every=5, rows="exceptions",
        blocks_per_shard=4, engine="reference", method="Radau", rtol=np.float64(1e-6), t_end=5, budget=7,
    )  # fmt: skip
    assert made.text == Experiment.from_toml(text).text
    auto = Experiment(SPECTRUM, GAUSSIAN, 10, blocks_per_shard="auto")
    assert auto.auto
    assert auto.blocks_per_shard is None


def test_python_has_every_setting_of_the_engine() -> None:
    assert set(EngineSettings.__annotations__) == {one.name for one in fields(Settings)}
    assert set(EngineSettings.__annotations__) == (set(Engine.model_fields) - {"name"}) | {"engine"}


SWEPT = (
    BASE.replace("hidden = [2, 2]", "").replace("scale = 0.5", "")
    + '[sweep]\n"network.hidden" = [[2], [2, 3]]\n"law.scale" = [0.1, 0.25]\n"engine.rtol" = [1e-6, 1e-8]\n'
)


def test_a_sweep_is_that_of_the_toml_and_takes_the_place_of_what_the_objects_have() -> None:
    sweep = basins.Sweep(
        {"network.hidden": ((2,), (2, 3)), "law.scale": np.array([0.1, 0.25]), "engine.rtol": [1e-6, 1e-8]}
    )
    assert len(sweep) == 8
    made = Experiment(SPECTRUM, GAUSSIAN, 10, seed=1, name="small", cases=sweep)
    assert made.text == Experiment.from_toml(SWEPT).text
    assert made.cases[0].name == "small, network.hidden = [2], law.scale = 0.1, engine.rtol = 1e-06"


def test_random_pairs_are_a_sweep_of_the_tables_keys() -> None:
    data = {"source": "gaussian", "samples": 20, "d_x": 3, "d_y": 2}
    made = Experiment(
        data=data, network={"hidden": (2,)}, law=He(), n=10, name="pairs", cases=basins.Sweep({"data.seed": range(3)})
    )
    text = """name = "pairs"\nseed = 0\ntrajectories = 10
    data = { source = "gaussian", samples = 20, d_x = 3, d_y = 2 }
    network = { hidden = [2] }\nlaw = { name = "he" }\nsweep = { "data.seed" = { count = 3 } }"""
    assert made.text == Experiment.from_toml(text).text


@pytest.mark.parametrize("form", ["problem", "problem, raw", "arrays", "frames", "swept", "several"])
def test_arrays_give_the_shards_of_a_file_that_holds_them(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, and every byte of visits, blocks and trajectories."""
    flow: Any = "raw" if form == "problem, raw" else "reduced"
    options: dict[str, Any] = {"seed": 3, "name": "own", "visits_every": 7, "blocks_per_shard": 2}
    network: dict[str, Any] = {"hidden": [2], "flow": flow}
    swept = basins.Sweep({"data.standardise": [False, True], "network.hidden": [[2], [2, 2]]})
    problems = [basins.Problem.from_data(X, Y + k, hidden=(2,), flow=flow, standardise=k == 1) for k in (0, 1, 2)]
    made = {
        "problem": lambda: Experiment(problems[0], GAUSSIAN, 3000, **options),
        "problem, raw": lambda: Experiment(problems[0], GAUSSIAN, 3000, **options),
        "arrays": lambda: Experiment(data=(X, Y), network=network, law=GAUSSIAN, n=3000, **options),
        "frames": lambda: Experiment(
            data={"X": pd.DataFrame(X), "Y": Y.tolist()}, network=network, law=GAUSSIAN, n=3000, **options
        ),
        "swept": lambda: Experiment(problems[0], GAUSSIAN, 600, cases=swept, **options),
        "several": lambda: Experiment(problems, GAUSSIAN, 600, **options),
    }[form]()
    np.savez(tmp_path / "there.npz", X=X, Y=Y, Y1=Y + 1, Y2=Y + 2)
    head = 'name = "own"\nseed = 3\nvisits_every = 7\nblocks_per_shard = 2\nlaw = { name = "gaussian", scale = 0.5 }\n'
    one = f'[data]\npath = "there.npz"\n[network]\nflow = "{flow}"\n'
    case = '[[case]]\nname = "{0}"\nnetwork = {{ hidden = [2] }}\n'
    case += 'data = {{ path = "there.npz", targets = ["{1}"], standardise = {2} }}\n'
    text = {
        "swept": f'{head}trajectories = 600\n{one}[sweep]\n"data.standardise" = [false, true]\n'
        '"network.hidden" = [[2], [2, 2]]\n',
        "several": f"{head}trajectories = 600\n"
        + "".join(case.format(*values) for values in (("a", "Y", "false"), ("b", "Y1", "true"), ("c", "Y2", "false"))),
    }.get(form, f"{head}trajectories = 3000\n{one}hidden = [2]\n")
    same = Experiment.from_toml(text, tmp_path)
    assert [case.key for case in made.cases] == [case.key for case in same.cases]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run(made, tmp_path / "python", on="inline")
    run(same, tmp_path / "toml", on="inline")
    assert shards(tmp_path / "python") == shards(tmp_path / "toml")
    for k, name in enumerate(made.files):
        assert name == ("data.npz", "data-2.npz", "data-3.npz")[k]
        with np.load(tmp_path / "python" / name) as kept:
            assert kept["X"].tobytes() == X.tobytes()
            assert kept["Y"].tobytes() == (Y + k).tobytes()
    assert len(made.files) == (3 if form == "several" else 1)


def test_the_data_are_those_the_problem_was_made_of() -> None:
    """Whatever becomes of the arrays afterwards. Problems of the same data share them."""
    mine, targets = X.copy(), Y.copy()
    problem = basins.Problem.from_data(mine, targets, hidden=(2,))
    before = Experiment(problem, GAUSSIAN, 10)
    mine += 1
    targets[:] = 0
    assert Experiment(problem, GAUSSIAN, 10).files == before.files
    assert Experiment(problem, GAUSSIAN, 10).cases[0].key == before.cases[0].key
    assert basins.Problem.from_data(X, Y, hidden=(3,)).samples is problem.samples
    with pytest.raises(ValueError, match="read-only"):
        problem.samples.X[0] = 0  # type: ignore[union-attr]


def test_a_pair_that_is_added_changes_nothing_that_is_said_of_the_others(problem: basins.Problem) -> None:
    """So that a run can grow by it."""
    other = basins.Problem.from_data(X, Y + 1, hidden=(2,))
    cases = [Case(problem, GAUSSIAN, 10, name="one"), Case(other, GAUSSIAN, 10, name="two")]
    fewer, more = Experiment(cases=cases[:1]), Experiment(cases=cases)
    assert more.text.startswith(fewer.text)
    assert more.files["data.npz"] == fewer.files["data.npz"]
    assert sorted(more.files) == ["data-2.npz", "data.npz"]


def test_nothing_is_decomposed_or_warned_of_again() -> None:
    with pytest.warns(AssumptionWarning):
        tied = basins.Problem.from_spectrum([5.0, 4.0, 3.0], d_x=3, hidden=(3,))
    made = Experiment(tied, GAUSSIAN, 10)
    assert made.cases[0].problem is tied


# --- cases ---------------------------------------------------------------------------------------------------------


def test_lists_make_one_case_for_each_pair_and_name_what_differs(problem: basins.Problem) -> None:
    laws = [Gaussian(0.1), Planted([0], 0.5)]
    made = Experiment([SPECTRUM, problem], laws, 10)
    assert [case.name for case in made.cases] == [
        "3-2-2-2, gaussian, scale 0.1",
        "3-2-2-2, planted, modes {0}, scale 0.5",
        "3-2-2, gaussian, scale 0.1",
        "3-2-2, planted, modes {0}, scale 0.5",
    ]
    assert [case.law for case in made.cases] == 2 * laws
    other = basins.Problem.from_data(X, Y + 1, hidden=(2,))
    assert [case.name for case in Experiment([problem, other], laws[0], 10).cases] == ["3-2-2 (1)", "3-2-2 (2)"]


def test_cases_are_listed_each_with_its_own_numbers(problem: basins.Problem) -> None:
    made = Experiment(
        cases=[
            Case(problem, GAUSSIAN, n=4000, name="gaussian", rtol=1e-6),
            Case(SPECTRUM, Planted((0,), 0.5), n=256, name="control"),
            Case(SPECTRUM, Uniform(1.0), 10),
        ],
        seed=1,
    )
    assert [(case.name, case.trajectories) for case in made.cases] == [
        ("gaussian", 4000),
        ("control", 256),
        ("3-2-2-2, uniform, box 1", 10),
    ]
    assert made.cases[0].settings == Settings(rtol=1e-6)
    assert made.cases[1].settings == Settings()
    assert "rtol=1e-06" in repr(made.cases[0])
    again = Experiment(cases=made.cases, seed=1)
    assert again.text == made.text


def test_cases_of_a_toml_file_are_cases_in_python(tmp_path: Path) -> None:
    """Those of a data file too: its arrays come along."""
    iris = Experiment.from_toml(EXAMPLES / "iris.toml")
    made = Experiment(cases=iris.cases, seed=1)
    assert [case.key for case in made.cases] == [case.key for case in iris.cases]
    assert list(made.files) == ["data.npz"]
    well = 'name = "w"\nseed = 0\ntrajectories = 9\nlandscape = { kind = "double_well:DoubleWell", dimensions = 2 }\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "landscapes")
        (case,) = Experiment.from_toml(well + 'law = { name = "gaussian", scale = 1 }\n').cases
        landscape = {"kind": "double_well:DoubleWell", "dimensions": 2}
        for one in (
            Experiment(cases=[case], name="w"),
            Experiment(landscape=landscape, law=Gaussian(1), n=9, name="w"),
        ):
            assert [other.key for other in one.cases] == [case.key]
        with pytest.raises(
            ArgumentError, match=r"is no deep linear network; name its class: basins.Experiment\(landscape="
        ):
            Experiment(case.landscape, GAUSSIAN, 10)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match=r"the table of its double_well is not with it"):
            Experiment(cases=[Case.from_dict(case.to_dict())])


def test_a_problem_of_a_run_has_no_data_and_is_refused(problem: basins.Problem) -> None:
    with pytest.raises(ArgumentError, match=r"its data are not with it, as of a problem that was read from a run"):
        Experiment(basins.Problem.from_dict(problem.to_dict()), GAUSSIAN, 10)
    compressed = basins.Problem.from_data(RNG.normal(size=(20, 9)), Y, hidden=(2,)).reduce()
    assert compressed is not None
    with pytest.raises(ArgumentError, match=r"its data are not with it"):  # it has the data of another problem
        Experiment(compressed.landscape, GAUSSIAN, 10)
    spectrum = basins.Problem.from_dict(SPECTRUM.to_dict())  # of singular values alone there is nothing to miss
    assert Experiment(spectrum, GAUSSIAN, 10).text == Experiment(SPECTRUM, GAUSSIAN, 10).text


# --- TOML and back -------------------------------------------------------------------------------------------------


def test_toml_and_back(problem: basins.Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Experiment([problem, SPECTRUM], GAUSSIAN, 10)
    (tmp_path / "folder").mkdir()
    assert made.to_toml(tmp_path / "folder" / "e.toml") == made.to_toml() == made.text
    monkeypatch.chdir(tmp_path)
    for again in (
        Experiment.from_toml("folder/e.toml"),
        Experiment.from_toml(tmp_path / "folder" / "e.toml"),
        Experiment.from_toml(made.text, "folder"),
    ):
        assert (again.text, again.digest, again.files) == (made.text, made.digest, made.files)
        assert [case.to_dict() for case in again.cases] == [case.to_dict() for case in made.cases]
    other = Experiment(basins.Problem.from_data(X, Y + 1, hidden=(2,)), GAUSSIAN, 10)
    with pytest.raises(BasinsError, match=r"data\.npz: there already, of other content"):
        other.to_toml("folder/other.toml")
    assert not (tmp_path / "folder" / "other.toml").exists()
    for path, said in (("nowhere/e.toml", "cannot be written: No such file"), (5, "path: 5; give the path of a file")):
        with pytest.raises(BasinsError, match=said):
            made.to_toml(path)  # type: ignore[arg-type]


def test_the_repr_lists_the_cases() -> None:
    made = Experiment(SPECTRUM, [Gaussian(k / 10) for k in range(1, 16)], 1000, name="many", seed=3)
    lines = repr(made).splitlines()
    assert lines[0] == "Experiment('many', seed 3, 15 cases)"
    assert lines[1] == "  gaussian, scale 0.1: widths (3, 2, 2, 2), gaussian, scale 0.1, 1,000 trajectories"
    assert lines[13:] == ["  ... 3 more"]


# --- refused -------------------------------------------------------------------------------------------------------

ARRAYS: dict[str, Any] = {"data": (X, Y), "network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "problem: no problem; give a problem, a law and n"),
    "argument": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "visit_every": 3}, "did you mean 'visits_every'?"),
    "law's class, and no n": ({"problem": SPECTRUM, "law": Gaussian}, "law: the class Gaussian is no law"),
    "no law": ({"problem": SPECTRUM, "n": 5}, "law: no law; give one, such as basins.Gaussian(0.5)"),
    "no n": ({"problem": SPECTRUM, "law": GAUSSIAN}, "n: missing; give how many trajectories"),
    "n of type float": (
        {"problem": SPECTRUM, "law": GAUSSIAN, "n": 1e5},
        "n: 100000.0; give a whole number of at least 1, below 2^53, such as 100_000",
    ),
    "n zero": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 0}, "n: 0; give a whole number of at least 1"),
    "n true": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": True}, "n: true; give a whole number"),
    "n text": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": "5"}, "n: '5'; give a whole number"),
    "n list": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": [5, 6]}, "n: [5, 6]; give a whole number"),
    "array": (
        {"problem": X, "law": GAUSSIAN, "n": 5},
        "problem: a value of type ndarray is no problem; give a basins.Problem",
    ),
    "path": (
        {"problem": "iris.toml", "law": GAUSSIAN, "n": 5},
        "problem: 'iris.toml' is no problem; give a basins.Problem; of a TOML file, basins.Experiment.from_toml(path)",
    ),
    "case as problem": ({"problem": [Case(SPECTRUM, GAUSSIAN, 5)]}, "a case is no problem; give cases=[...]"),
    "law's name": ({"problem": SPECTRUM, "law": "gaussian", "n": 5}, "law: 'gaussian' is no law; give a law, such as"),
    "law's class": ({"problem": SPECTRUM, "law": Gaussian, "n": 5}, "law: the class Gaussian is no law"),
    "number as law": ({"problem": SPECTRUM, "law": 0.5, "n": 5}, "law: 0.5 is no law"),
    "list with no law": ({"problem": SPECTRUM, "law": [GAUSSIAN, 1.0], "n": 5}, "law: 1.0 is no law"),
    "no laws": ({"problem": SPECTRUM, "law": [], "n": 5}, "law: an empty list; give laws"),
    "no problems": ({"problem": [], "law": GAUSSIAN, "n": 5}, "problem: an empty list; give problems"),
    "law of another problem": (
        {"problem": SPECTRUM, "law": Planted([5]), "n": 5},
        "Experiment: law.modes: mode 5 is not among 0..1",
    ),
    "setting": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "rtoll": 1e-6}, "rtoll: no setting 'rtoll'; did you"),
    "setting of another type": (
        {"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "rtol": "small"},
        "Experiment: engine.rtol: rtol = 'small'; give a number",
    ),
    "setting without a meaning": (
        {"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "rtol": -1.0},
        "Experiment: engine.rtol: rtol = -1.0; tolerances are positive and finite",
    ),
    "engine": (
        {"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "engine": "lane"},
        "Experiment: engine.name: unknown engine 'lane'; did you mean 'lanes'?",
    ),
    "seed": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "seed": -1}, "Experiment: seed: seed = -1; give a whole"),
    "seed true": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "seed": True}, "Experiment: seed: seed = true"),
    "name": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "name": 3}, "Experiment: name: name = 3; give a text"),
    "rows": ({"problem": SPECTRUM, "law": GAUSSIAN, "n": 5, "rows": "some"}, "Experiment: rows: rows = 'some'"),
    "cases and a law": (
        {"cases": [Case(SPECTRUM, GAUSSIAN, 5)], "law": GAUSSIAN, "rtol": 1e-6},
        "cases: a list of cases and law, rtol at once; give these to each basins.Case",
    ),
    "one case": ({"cases": Case(SPECTRUM, GAUSSIAN, 5)}, "give a list of basins.Case(problem, law, n, ...)"),
    "no cases": ({"cases": []}, "cases: []; give a list of basins.Case"),
    "dicts": ({"cases": [{"law": GAUSSIAN}]}, "give a list of basins.Case"),
    "cases twice": (
        {"cases": [Case(SPECTRUM, GAUSSIAN, 5), Case(SPECTRUM, GAUSSIAN, 6)]},
        "have the same problem, law and engine settings",
    ),
    "sweep alone": ({"cases": basins.Sweep({"law.scale": [1.0]})}, "problem: no problem"),
    "sweep of a parameter that the law lacks": (
        {"problem": SPECTRUM, "law": Uniform(1), "n": 5, "cases": basins.Sweep({"law.scale": [1.0]})},
        "Experiment: law.scale = 1.0: law.scale: law 'uniform' has no parameter 'scale'",
    ),
    "sweep of a file's key over arrays": (
        {
            "data": (X, Y),
            "network": {"hidden": [2]},
            "law": GAUSSIAN,
            "n": 5,
            "cases": basins.Sweep({"data.seed": [1]}),
        },
        "Sweep, 'data.seed': the data are arrays; of arrays sweep data.standardise or data.intercept",
    ),
    "problem and data": (
        {"problem": SPECTRUM, "data": (X, Y), "law": GAUSSIAN, "n": 5},
        "problem: a problem and data at once",
    ),
    "arrays and a path": (
        {"data": {"X": X, "Y": Y, "path": "iris.csv"}, "network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5},
        "data: arrays and a path at once; give X and Y, or the keys of a file",
    ),
    "X alone": (
        {"data": {"X": X}, "network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5},
        "data, Y: missing; give both X and Y",
    ),
    "X of text": (
        {"data": (X.astype(str), Y), "network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5},
        "X: not an array of numbers",
    ),
    "three arrays": ({**ARRAYS, "data": (X, Y, Y)}, 'is no table; give its keys, such as {"path"'),
    "array for a table": ({**ARRAYS, "network": X}, 'is no table; give its keys, such as {"hidden": [4, 4]}'),
    "array for cases": ({"cases": X}, "give a list of basins.Case(problem, law, n, ...), or a basins.Sweep"),
    "path for a table": (
        {"data": "iris.csv", "network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5},
        "data: 'iris.csv' is no table; give its keys, such as",
    ),
    "no network": ({"data": (X, Y), "law": GAUSSIAN, "n": 5}, "network: missing; give network={"),
    "no data": ({"network": {"hidden": [2]}, "law": GAUSSIAN, "n": 5}, "data: missing; give data=(X, Y)"),
    "key of a table": (
        {"data": (X, Y), "network": {"hiden": [2]}, "law": GAUSSIAN, "n": 5},
        "Experiment: network.hiden: unknown key 'hiden'; did you mean 'hidden'?",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line_that_names_it(what: str) -> None:
    arguments, said = REFUSED[what]
    with pytest.raises(BasinsError) as refused:
        Experiment(**arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Sweep: {}; give keys with lists of values"),
        ([0.1, 0.5], "Sweep: [0.1, 0.5]; give keys"),
        ({"scale": [0.1]}, "Sweep, 'scale': no key of a table; give one with its table"),
        ({"laws.scale": [0.1]}, "no table 'laws' to sweep; did you mean 'law'?"),
        ({"law.scale": 0.1}, "Sweep, 'law.scale': 0.1; give a list of values"),
        ({"law.scale": []}, "Sweep, 'law.scale': []; give a list of values"),
        ({3: [1]}, "Sweep, 3: no key of a table"),
    ],
)
def test_what_is_no_sweep_is_refused(values: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        basins.Sweep(values)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((X, GAUSSIAN, 5), "problem: a value of type ndarray is no problem"),
        ((SPECTRUM, None, 5), "law: None is no law"),
        ((SPECTRUM, GAUSSIAN, 2.5), "n: 2.5; give a whole number of at least 1, below 2^53, such as 2"),
        ((SPECTRUM, Gaussian([1, 2]), 5), "scale: 2 scale(s) for 3 layers"),
    ],
)
def test_what_is_no_case_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        Case(*arguments)


@pytest.mark.parametrize("wrong", [3, None, b"x", ["a.toml"]])
def test_from_toml_takes_a_path_or_a_text(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"give the path of a TOML file, or its text"):
        Experiment.from_toml(wrong)


@pytest.mark.parametrize(
    ("law", "arguments", "said"),
    [
        (Gaussian, ("0.5",), "scale: scale = '0.5'; give a scale above zero and finite"),
        (Gaussian, (-1,), "scale: scale = -1"),
        (Uniform, (float("nan"),), "box: box = nan"),
        (Balanced, ([1, 2],), "scale: scale = [1, 2]"),
        (Planted, (0,), "modes: modes = 0; give distinct 0-based positions in sigma"),
        (NearPlanted, ([0], 0.0), "distance: distance = 0.0"),
    ],
)
def test_laws_refuse_what_they_cannot_be_of(law: Any, arguments: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        law(*arguments)
