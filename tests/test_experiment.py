"""An experiment is what its text says, keyed by content, and wrong at the door or not at all."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from basins.engines.base import Settings
from basins.errors import ArgumentError, AssumptionError, AssumptionWarning, BasinsError, DataError, ExperimentError
from basins.experiment import Case, Experiment, Plan, load
from basins.laws import BLOCK, Gaussian, Planted, starts

EXAMPLES = Path(__file__).parent.parent / "examples"
HEAD = """
name = "small"
seed = 1
trajectories = 10
"""
BASE = (
    HEAD
    + """
[data]
source = "spectrum"
sigma = [2, 1]
d_x = 3
[network]
hidden = [2, 2]
[law]
name = "gaussian"
scale = 0.5
"""
)


def experiment(text: str) -> Experiment:
    return Experiment.from_toml(text, EXAMPLES, "t.toml")


def keys(text: str) -> dict[str, str]:
    return {case.name: case.key for case in experiment(text).cases}


# --- examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes", "digits"])
def test_examples_are_valid(name: str) -> None:
    made = load(EXAMPLES / f"{name}.toml")
    assert made.name == name
    assert all(case.problem.flow == "reduced" for case in made.cases)


def test_iris_is_as_the_readme_says() -> None:
    made = load(EXAMPLES / "iris.toml")
    gaussian, control = made.cases
    assert (gaussian.name, gaussian.trajectories, gaussian.law) == ("gaussian", 400_000, Gaussian(0.5))
    assert (control.name, control.trajectories, control.law) == ("control", 1024, Planted((0,), 0.5))
    assert control.law.null
    assert gaussian.problem is control.problem  # read and decomposed once
    assert gaussian.problem.widths == (4, 4, 4, 3)
    assert gaussian.settings == control.settings == Settings()
    assert (made.seed, made.visits_every, made.blocks_per_shard, made.rows) == (1, 100, 32, "all")
    assert gaussian.source.startswith("iris.csv: 150 samples, 4 inputs")


# --- the text -------------------------------------------------------------------------------------------------

VARIETY = (
    BASE
    + """
[engine]
t_end = 5
certify = false
[[case]]
name = "by layer"
law = { scale = [1, 0.5, 0.25] }
[[case]]
name = "certified"
trajectories = 2000
engine = { name = "reference", t_end = inf, certify = true, at_start = true, method = "Radau" }
[[case]]
name = "iris"
data = { path = "iris.csv", targets = ["species"], drop_class = "setosa", standardise = true }
network = { flow = "raw" }
law = { name = "uniform", box = 1 }
[[case]]
name = "random"
data = { source = "gaussian", samples = 20, d_x = 4, d_y = 2 }
law = { name = "balanced" }
[sweep]
"engine.rtol" = [1e-6, 1e-8]
"""
)


@pytest.mark.parametrize("text", [BASE, VARIETY], ids=["base", "variety"])
def test_the_text_reads_back_as_the_same_experiment(text: str) -> None:
    made = experiment(text)
    again = experiment(made.text)
    assert again.text == made.text
    assert again.digest == made.digest
    assert [case.to_dict() for case in again.cases] == [case.to_dict() for case in made.cases]


def test_the_text_is_stable_and_says_every_default() -> None:
    assert experiment(BASE).text == experiment("# a comment\n" + BASE.replace("0.5", "5e-1")).text
    [case] = tomllib.loads(experiment(BASE).text)["case"]
    settings = {field: getattr(Settings(), field) for field in Settings.__dataclass_fields__}
    settings["name"] = settings.pop("engine")
    assert case["engine"] == settings
    assert case["network"] == {"hidden": [2, 2], "flow": "reduced"}
    top = tomllib.loads(experiment(BASE).text)
    assert (top["blocks_per_shard"], top["visits_every"], top["rows"]) == (1, 0, "all")


def test_the_digest_is_of_text_and_content(tmp_path: Path) -> None:
    """The same words over other data are another experiment."""
    words = HEAD + '[data]\npath = "d.csv"\ntargets = ["y"]\n[network]\nhidden = [2]\n[law]\nname = "he"\n'
    made = []
    for value in (5, 6):
        (tmp_path / "d.csv").write_text(f"x,y\n1,2\n3,{value}\n")
        (tmp_path / "e.toml").write_text(words)
        made.append(load(tmp_path / "e.toml"))
    assert made[0].text == made[1].text
    assert made[0].digest != made[1].digest
    assert made[0].cases[0].key != made[1].cases[0].key
    assert experiment(BASE).digest != experiment(BASE.replace("seed = 1", "seed = 2")).digest


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "d.csv").write_text("x,y\n1,2\n3,5\n")
    text = HEAD + '[data]\npath = "../d.csv"\ntargets = ["y"]\n[network]\nhidden = [2]\n[law]\nname = "he"\n'
    (tmp_path / "sub" / "e.toml").write_text(text)
    made = load(str(tmp_path / "sub" / "e.toml"))
    assert '"../d.csv"' in made.text
    assert str(tmp_path) not in made.text
    monkeypatch.chdir(tmp_path / "sub")
    assert load("e.toml").digest == made.digest


# --- cases ----------------------------------------------------------------------------------------------------


def test_a_case_survives_json_exactly() -> None:
    for case in experiment(VARIETY).cases:
        again = Case.from_dict(json.loads(json.dumps(case.to_dict(), allow_nan=False)))
        assert again.to_dict() == case.to_dict()
        assert (again.key, again.settings, again.law) == (case.key, case.settings, case.law)
        for block in (0, 3):
            first, second = (starts(one.problem, one.law, 1, block) for one in (case, again))
            assert np.array_equal(first.view(np.uint64), second.view(np.uint64))
        W = starts(case.problem, case.law, 1, 0)[:3]
        assert np.array_equal(again.problem.gradient(W), case.problem.gradient(W))


def test_adding_a_case_renumbers_nothing() -> None:
    few = BASE + '[sweep]\n"law.scale" = [0.5, 0.25]\n'
    more = BASE + '[sweep]\n"law.scale" = [1.5, 0.25, 0.5]\n"network.hidden" = [[3, 2], [2, 2]]\n'
    assert set(keys(few).values()) < set(keys(more).values())
    assert len(set(keys(more).values())) == 6
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys(more).values())


def test_cases_share_a_problem_only_where_data_and_network_are_the_same() -> None:
    swept = '[sweep]\n"data.sigma" = [[2, 1], [3, 1]]\n"network.hidden" = [[2, 2], [3]]\n"law.scale" = [1, 2]\n'
    cases = experiment(BASE + swept).cases
    assert [(case.problem.sigma[0], case.problem.hidden) for case in cases[::2]] == [
        (2, (2, 2)),
        (2, (3,)),
        (3, (2, 2)),
        (3, (3,)),
    ]
    assert all(one.problem is two.problem for one, two in zip(cases[::2], cases[1::2], strict=True))


def test_a_key_is_of_content() -> None:
    """Not of a name, a place or a number of trajectories; and of every setting."""
    [key] = keys(BASE).values()
    same = BASE.replace('"small"', '"other"').replace("= 10", "= 5000").replace("seed = 1", "seed = 9")
    assert [*keys("blocks_per_shard = 7\n" + same).values()] == [key]
    assert [*keys(BASE.replace("0.5", "[0.5, 0.5, 0.5]")).values()] == [key]
    other = [
        BASE + f"[engine]\n{setting}\n"
        for setting in (
            'name = "reference"\nmethod = "LSODA"',
            "rtol = 1e-7",
            "atol = 1e-9",
            "t_end = 9",
            "t_end = 9\ncertify = false",
            "at_start = true",
            "budget = 100",
            "delta = 1e-5",
            "compress = false",
        )
    ]
    other += [BASE.replace("[2, 1]", "[2, 1.5]"), BASE.replace("d_x = 3", "d_x = 4"), BASE.replace("0.5", "0.4")]
    found = [next(iter(keys(text).values())) for text in other]
    assert len({key, *found}) == len(other) + 1


def test_a_golden_key() -> None:
    """Runs on disk are named by it; every setting stands here, so that a new default alone does not move it."""
    engine = """
[engine]
name = "reference"
method = "RK45"
rtol = 1e-8
atol = 1e-10
t_end = inf
certify = true
at_start = false
budget = 200000
delta = 1e-6
compress = true
"""
    assert [*keys(BASE + engine).values()] == ["c9546158d3057a53"]


def test_listed_cases_are_all_there_are_and_overlay_key_by_key() -> None:
    made = experiment(
        BASE
        + """
[engine]
rtol = 1e-6
[[case]]
name = "plain"
[[case]]
name = "wider"
trajectories = 20
law.scale = 1.0
engine.atol = 1e-9
[[case]]
name = "planted"
law = { name = "planted", modes = [1] }
"""
    )
    plain, wider, planted = made.cases
    assert (plain.name, plain.trajectories, plain.law, plain.settings.rtol) == ("plain", 10, Gaussian(0.5), 1e-6)
    assert (wider.trajectories, wider.law) == (20, Gaussian(1.0))
    assert (wider.settings.rtol, wider.settings.atol) == (1e-6, 1e-9)
    assert planted.law == Planted((1,), 1.0)  # another law takes the table's place: no scale is left over
    assert made.case("wider") is made.case(wider.key) is wider
    with pytest.raises(ArgumentError, match=r"no case 'widr'; did you mean 'wider'"):
        made.case("widr")


def test_cases_alone_need_no_tables_above() -> None:
    alone = """
name = "alone"
seed = 1
[[case]]
name = "one"
trajectories = 5
data = { source = "spectrum", sigma = [1], d_x = 1 }
network = { hidden = [1] }
law = { name = "lecun" }
"""
    assert experiment(alone).cases[0].problem.widths == (1, 1, 1)


def test_a_sweep_is_a_product_and_passes_by_what_a_case_sets() -> None:
    sweep = """
[[case]]
name = "a"
[[case]]
name = "b"
law = { scale = 3.0 }
[[case]]
name = "control"
law = { name = "planted", modes = [0] }
[sweep]
"law.scale" = [0.5, 1.0]
engine.rtol = [1e-6, 1e-8]
"""
    assert list(keys(BASE + sweep)) == [
        "a, law.scale = 0.5, engine.rtol = 1e-06",
        "a, law.scale = 0.5, engine.rtol = 1e-08",
        "a, law.scale = 1.0, engine.rtol = 1e-06",
        "a, law.scale = 1.0, engine.rtol = 1e-08",
        "b, engine.rtol = 1e-06",
        "b, engine.rtol = 1e-08",
        "control, engine.rtol = 1e-06",
        "control, engine.rtol = 1e-08",
    ]


def test_a_swept_key_need_not_stand_above() -> None:
    assert len(experiment(BASE.replace("scale = 0.5", "") + '[sweep]\n"law.scale" = [0.5, 1]\n').cases) == 2


def test_tied_subset_sums_warn_only() -> None:
    with pytest.warns(AssumptionWarning, match="Assumption 4 fails"):
        experiment(BASE.replace("[2, 1]", "[5, 4, 3]").replace("[2, 2]", "[3, 3]"))


# --- the plan -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 50_000), st.integers(1, 20))
def test_shards_cover_every_id_once(trajectories: int, blocks_per_shard: int) -> None:
    plan = Plan(trajectories, blocks_per_shard)
    shards = [plan.shard(index) for index in range(plan.shards)]
    ids = [one for shard in shards for one in plan.ids(shard)]
    assert ids == list(range(trajectories))
    assert [block for shard in shards for block in shard] == list(range(plan.blocks))
    assert all(len(shard) == blocks_per_shard for shard in shards[:-1])
    assert 1 <= len(shards[-1]) <= blocks_per_shard
    assert all(len(plan.ids(range(b, b + 1))) == BLOCK for b in range(plan.blocks - 1))


def test_the_plan_of_a_case() -> None:
    made = experiment("blocks_per_shard = 2\n" + BASE.replace("= 10", "= 5000"))
    plan = made.plan(made.cases[0])
    assert (plan.blocks, plan.shards) == (5, 3)
    assert plan.shard(2) == range(4, 5)
    assert plan.ids(plan.shard(2)) == range(4096, 5000)
    with pytest.raises(ArgumentError, match="shard 3 of 3"):
        plan.shard(3)


# --- what is refused ------------------------------------------------------------------------------------------

SPECTRUM = '[data]\nsource = "spectrum"\nsigma = [2, 1]\nd_x = 3\n'


def swap(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


REFUSED: list[tuple[str, type[BasinsError], str]] = [
    # the file
    ("name = ", ExperimentError, "t.toml: not TOML: Invalid value (at end of document); mend that line"),
    (swap("name = ", "nam = "), ExperimentError, "t.toml: nam: unknown key 'nam'; did you mean 'name'?"),
    (
        swap("trajectories = 10", ""),
        ExperimentError,
        "t.toml: trajectories: missing; give a whole number of at least 1",
    ),
    (swap("= 10", "= 0"), ExperimentError, "t.toml: trajectories: trajectories = 0; give a whole number of at least 1"),
    (swap("= 10", "= 10.5"), ExperimentError, "t.toml: trajectories: trajectories = 10.5; give a whole number"),
    (swap("= 10", "= true"), ExperimentError, "trajectories = true; give a whole number"),
    (swap("seed = 1", ""), ExperimentError, "t.toml: seed: missing; give a whole number from 0 to 2^64 - 1"),
    (swap("seed = 1", "seed = -1"), ExperimentError, "seed = -1; give a whole number from 0 to 2^64 - 1"),
    (swap("seed = 1", f"seed = {2**64}"), ExperimentError, f"seed = {2**64}; give"),
    (swap("seed = 1", "seed = nan"), ExperimentError, "seed = nan; give a whole number from 0"),
    (swap('"small"', '""'), ExperimentError, "t.toml: name: name = ''; give a text of one line"),
    (swap('"small"', '"a\\nb"'), ExperimentError, r"name = 'a\nb'; give a text of one line"),
    (
        "blocks_per_shard = 0\n" + BASE,
        ExperimentError,
        'blocks_per_shard = 0; give a whole number of at least 1, or "auto"',
    ),
    ("visits_every = -1\n" + BASE, ExperimentError, "visits_every = -1; give a whole number, 0 for none"),
    # data
    (swap(SPECTRUM, ""), ExperimentError, "t.toml: no table [data]; add [data]"),
    (
        swap('"spectrum"', '"spectre"'),
        ExperimentError,
        "t.toml: data.source: unknown source 'spectre'; did you mean 'spec",
    ),
    (swap('"spectrum"', '"sklearn:digit"'), ExperimentError, "did you mean 'sklearn:digits'?"),
    (swap('"spectrum"', "3"), ExperimentError, "t.toml: data.source: unknown source 3"),
    (swap("d_x = 3", "dx = 3"), ExperimentError, "t.toml: data.dx: unknown key 'dx'; did you mean 'd_x'?"),
    (swap("d_x = 3", ""), ExperimentError, "t.toml: data.d_x: missing; give a whole number of at least 1"),
    (swap("d_x = 3", "d_x = 1"), AssumptionError, "t.toml: data.d_x: Assumption 1: d_x = 1 is below d_y = 2"),
    (swap("[2, 1]", "[2, 2]"), AssumptionError, "t.toml: data.sigma: Assumption 3: singular values 0 and 1 are tied"),
    (swap("[2, 1]", "[1, 2]"), ExperimentError, "t.toml: data.sigma: singular values [1.0, 2.0] do not fall"),
    (
        swap("[2, 1]", "[2, nan]"),
        ExperimentError,
        "t.toml: data.sigma: singular values [2.0, nan] are not all positive",
    ),
    (swap("[2, 1]", "[]"), ExperimentError, "t.toml: data.sigma: singular values [] are not"),
    (swap("[2, 1]", '[2, "1"]'), ExperimentError, "t.toml: data.sigma: sigma[1] = '1'; give a list of singular values"),
    (
        swap(SPECTRUM, "[data]\nstandardise = true\n"),
        ExperimentError,
        "t.toml: data.path: missing; give a file, or source",
    ),
    (
        swap(SPECTRUM, '[data]\npth = "iris.csv"\n'),
        ExperimentError,
        "t.toml: data.pth: unknown key 'pth'; did you mean 'path'?",
    ),
    (swap("d_x = 3", 'd_x = 3\npath = "a.csv"'), ExperimentError, "t.toml: data: both path and source; take one out"),
    (swap(SPECTRUM, '[data]\npath = "none.csv"\n'), DataError, "none.csv: no such file; a path is relative to"),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = ["specie"]\n'),
        DataError,
        "iris.csv: no column 'specie'; did you mean 'species'?",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = "species"\n'),
        ExperimentError,
        "t.toml: data.targets: targets = 'species'; give a list of names",
    ),
    (
        swap(SPECTRUM, '[data]\npath = "iris.csv"\ntargets = ["species"]\nstandardise = true\n'),
        AssumptionError,
        "t.toml: data: X, Y: Assumption 2: the reduced target Ybar has rank 2 of d_y = 3",
    ),
    (
        swap(SPECTRUM, '[data]\nsource = "gaussian"\nsamples = 1\nd_x = 2\nd_y = 1\n'),
        DataError,
        "t.toml: data: X, Y: 1 sample is no data set; give at least two samples",
    ),
    # network
    (
        swap("[2, 2]", "[0, 2]"),
        ExperimentError,
        "t.toml: network.hidden: width 0; widths are whole numbers of at least 1",
    ),
    (swap("[2, 2]", "[2, -2]"), ExperimentError, "t.toml: network.hidden: width -2"),
    (swap("[2, 2]", "[2, 2.0]"), ExperimentError, "t.toml: network.hidden: hidden[1] = 2.0; give a list of widths"),
    (swap("[2, 2]", "[]"), ExperimentError, "t.toml: network.hidden: no hidden layer"),
    (
        swap("[2, 2]", "[2, 1]"),
        AssumptionError,
        "t.toml: network.hidden: Assumption 1: hidden width(s) [1] below d_y = 2",
    ),
    (
        swap("hidden = [2, 2]", "hiden = [2]"),
        ExperimentError,
        "t.toml: network.hiden: unknown key 'hiden'; did you mean",
    ),
    (
        swap("[law]", 'flow = "rawer"\n[law]'),
        ExperimentError,
        'network.flow: flow = \'rawer\'; give "reduced" or "raw"',
    ),
    (
        swap("[law]", 'flow = "raw"\n[law]'),
        ExperimentError,
        'network.flow: the raw flow needs X and Y; set flow = "reduced"',
    ),
    # law
    (swap('[law]\nname = "gaussian"\nscale = 0.5', ""), ExperimentError, "t.toml: no table [law]; add [law]"),
    (swap('name = "gaussian"', ""), ExperimentError, "t.toml: law.name: missing; give a law"),
    (
        swap('"gaussian"', '"gausian"'),
        ExperimentError,
        "t.toml: law.name: unknown law 'gausian'; did you mean 'gaussian'?",
    ),
    (swap('"gaussian"', '["gaussian"]'), ExperimentError, "t.toml: law.name: unknown law"),
    (swap("scale = 0.5", ""), ExperimentError, "t.toml: law.scale: law 'gaussian' needs scale"),
    (
        swap("scale = 0.5", "scal = 1"),
        ExperimentError,
        "t.toml: law.scal: law 'gaussian' has no parameter 'scal'; did you",
    ),
    (swap("0.5", "0"), ExperimentError, "t.toml: law.scale: scale = 0; give a scale above zero and finite"),
    (swap("0.5", "nan"), ExperimentError, "t.toml: law.scale: scale = nan"),
    (swap("0.5", "[0.5, 0.5]"), ExperimentError, "t.toml: law.scale: 2 scale(s) for 3 layers"),
    (
        swap('"gaussian"\nscale = 0.5', '"planted"\nmodes = [2]'),
        ExperimentError,
        "t.toml: law.modes: mode 2 is not among 0..1",
    ),
    (
        HEAD
        + '[data]\npath = "iris.csv"\ntargets = ["species"]\n[network]\nhidden = [4]\nflow = "raw"\n'
        + '[law]\nname = "planted"\nmodes = [0]\n',
        ExperimentError,
        'a planted start escapes in the raw flow: X X^T mixes the columns of W_1; set flow = "reduced"',
    ),
    # engine
    (BASE + "[engine]\nrtoll = 1", ExperimentError, "t.toml: engine.rtoll: unknown key 'rtoll'; did you mean 'rtol'?"),
    (BASE + "[engine]\nrtol = -1e-8", ExperimentError, "t.toml: engine.rtol: rtol = -1e-08; tolerances are positive"),
    (BASE + "[engine]\nrtol = 1e-14", ExperimentError, "t.toml: engine.rtol: rtol = 1e-14 is below 100 eps = 2.22e-14"),
    (BASE + "[engine]\natol = 0", ExperimentError, "t.toml: engine.atol: atol = 0.0; tolerances are positive"),
    (BASE + "[engine]\natol = nan", ExperimentError, "t.toml: engine.atol: atol = nan; tolerances are positive"),
    (BASE + '[engine]\nrtol = "1e-8"', ExperimentError, "t.toml: engine.rtol: rtol = '1e-8'; give a number"),
    (BASE + "[engine]\nt_end = 0", ExperimentError, "t.toml: engine.t_end: t_end = 0.0; give a time above zero"),
    (BASE + "[engine]\nt_end = nan", ExperimentError, "t.toml: engine.t_end: t_end = nan"),
    (BASE + "[engine]\ncertify = 1", ExperimentError, "t.toml: engine.certify: certify = 1; give true or false"),
    (
        BASE + "[engine]\ncertify = false",
        ExperimentError,
        "t.toml: engine.t_end: certify = false without t_end never stops",
    ),
    (BASE + "[engine]\nbudget = 0", ExperimentError, "t.toml: engine.budget: budget = 0; give evaluations, at least 1"),
    (BASE + "[engine]\ndelta = 2", ExperimentError, "t.toml: engine.delta: delta = 2.0; give a margin"),
    (
        BASE + '[engine]\nname = "referense"',
        ExperimentError,
        "t.toml: engine.name: unknown engine 'referense'; did you mean",
    ),
    (
        BASE + '[engine]\nname = "reference"\nmethod = "RK54"',
        ExperimentError,
        "t.toml: engine.method: engine 'reference' has no method 'RK54'",
    ),
    # cases and sweep
    (
        BASE + '[case]\nname = "a"',
        ExperimentError,
        "t.toml: case: case = {'name': 'a'}; give tables, each headed [[case]]",
    ),
    (BASE + "[[case]]\nseed = 2", ExperimentError, "t.toml: case 1: seed: unknown key 'seed'"),
    (BASE + "[[case]]\ntrajectories = 2", ExperimentError, "t.toml: case 1: name: missing"),
    (BASE + '[[case]]\nname = "a"\nlaw.scale = 0', ExperimentError, "t.toml: case 'a': law.scale: scale = 0"),
    (BASE + '[[case]]\nname = "a"\nlaw = 3', ExperimentError, "t.toml: case 'a': law: law = 3; give a table"),
    (
        BASE + '[[case]]\nname = "a"\n[[case]]\nname = "b"\ntrajectories = 9',
        ExperimentError,
        "t.toml: cases 'a' and 'b' have the same problem, law and engine settings; take one out",
    ),
    (
        BASE + '[[case]]\nname = "a"\n[[case]]\nname = "a"\nlaw.scale = 9',
        ExperimentError,
        "t.toml: two cases are called 'a'; rename one",
    ),
    (BASE + "[sweep]\nlaw.scale = [0.5, 0.5]", ExperimentError, "have the same problem, law and engine settings"),
    (BASE + "[sweep]\nlaw.scale = 0.5", ExperimentError, "t.toml: sweep.law.scale: law.scale = 0.5; give a key a list"),
    (BASE + "[sweep]\nlaw.scale = []", ExperimentError, "t.toml: sweep.law.scale: law.scale = []; give a key a list"),
    (BASE + "[sweep]\nlaw = [1]", ExperimentError, "t.toml: sweep.law: law = [1]; give a key a list of values"),
    (BASE + "[sweep]\nlaws.scale = [1]", ExperimentError, "t.toml: sweep.laws: no table 'laws' to sweep"),
    (BASE + "[sweep]\ntrajectories = [1, 2]", ExperimentError, "t.toml: sweep.trajectories: no table 'trajectories'"),
    (BASE + "[sweep]\nlaw.scal = [1]", ExperimentError, "t.toml: law.scal = 1: law.scal: law 'gaussian' has no"),
    (BASE + "[sweep]\nlaw.scale = [1, 0]", ExperimentError, "t.toml: law.scale = 0: law.scale: scale = 0; give"),
]


@pytest.mark.parametrize(("text", "kind", "said"), REFUSED, ids=[said[:60] for _, _, said in REFUSED])
def test_refused_in_one_line_with_place_and_remedy(text: str, kind: type[BasinsError], said: str) -> None:
    with pytest.raises(BasinsError) as refused:
        experiment(text)
    line = str(refused.value)
    assert said in line
    assert type(refused.value) is kind
    assert line.startswith("t.toml: ")
    assert "\n" not in line
    assert refused.value.remedy


def test_a_problem_too_large_for_memory_is_refused() -> None:
    large = '[data]\nsource = "gaussian"\nsamples = 16_000_000\nd_x = 16_000_000\nd_y = 1\n'
    with pytest.raises(ExperimentError, match="does not fit in this machine's memory; make data or network smaller"):
        experiment(swap(SPECTRUM, large))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"none.toml: no such file; give the path of a TOML file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ExperimentError, match="not readable: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "größe"'.encode("latin-1"))
    with pytest.raises(ExperimentError, match=r"latin.toml: not UTF-8 text; save it as UTF-8"):
        load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(tmp_path / "bom.toml").digest == experiment(BASE).digest


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 2**65), st.floats(), st.booleans(), st.text(max_size=5), st.lists(st.integers(-1, 4), max_size=3)
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["data", "network", "law", "engine"]), st.data())
def test_no_value_ends_in_anything_but_a_refusal(table: str, draw: st.DataObject) -> None:
    """Whatever stands in a table: a valid experiment, or a BasinsError of one line."""
    values = tomllib.loads(BASE)
    known = {
        "data": ["source", "sigma", "d_x", "path"],
        "network": ["hidden", "flow"],
        "law": ["name", "scale", "modes", "box"],
        "engine": list(Settings.__dataclass_fields__),
    }[table]
    changed = draw.draw(st.dictionaries(st.sampled_from(known), VALUES, min_size=1, max_size=2))
    if any(abs(x) > 10**6 for x in changed.values() if isinstance(x, int)):
        changed.pop("d_x", None)  # a valid width of 2^64 is a matter of memory
    values.setdefault(table, {}).update(changed)
    try:
        made = experiment(tomli_w.dumps(values))
    except BasinsError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert experiment(made.text).digest == made.digest
    assert len(refusal.splitlines()) <= 1
