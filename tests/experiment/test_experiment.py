"""An experiment is defined by its text, keyed by its content, and fully validated when it is loaded."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiment import BASE, EXAMPLES, HEAD, experiment

from basins.errors import ArgumentError, AssumptionWarning
from basins.experiment import Case, Plan, load
from basins.integrators.base import Settings
from basins.laws import BLOCK, Gaussian, Planted, starts


def keys(text: str) -> dict[str, str]:
    return {case.name: case.key for case in experiment(text).cases}


# --- examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes", "digits"])
def test_examples_are_valid(name: str) -> None:
    made = load(EXAMPLES / f"{name}.toml")
    assert made.name == name
    assert all(case.problem.flow == "reduced" for case in made.cases)


def test_iris_agrees_with_the_readme() -> None:
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


def test_the_text_is_stable_and_has_every_default() -> None:
    assert experiment(BASE).text == experiment("# a comment\n" + BASE.replace("0.5", "5e-1")).text
    [case] = tomllib.loads(experiment(BASE).text)["case"]
    settings = {field: getattr(Settings(), field) for field in Settings.__dataclass_fields__}
    settings["name"] = settings.pop("engine")
    assert case["engine"] == settings
    assert case["network"] == {"hidden": [2, 2], "flow": "reduced"}
    top = tomllib.loads(experiment(BASE).text)
    assert (top["blocks_per_shard"], top["visits_every"], top["rows"]) == (1, 0, "all")


def test_the_digest_covers_text_and_content(tmp_path: Path) -> None:
    """The same text with other data is another experiment."""
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
    few = BASE.replace("scale = 0.5", "") + '[sweep]\n"law.scale" = [0.5, 0.25]\n'
    bare = BASE.replace("scale = 0.5", "").replace("hidden = [2, 2]", "")
    more = bare + '[sweep]\n"law.scale" = [1.5, 0.25, 0.5]\n"network.hidden" = [[3, 2], [2, 2]]\n'
    assert set(keys(few).values()) < set(keys(more).values())
    assert len(set(keys(more).values())) == 6
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys(more).values())


def test_cases_share_a_problem_only_if_data_and_network_are_equal() -> None:
    swept = '[sweep]\n"data.sigma" = [[2, 1], [3, 1]]\n"network.hidden" = [[2, 2], [3]]\n"law.scale" = [1, 2]\n'
    bare = HEAD + '[data]\nsource = "spectrum"\nd_x = 3\n[law]\nname = "gaussian"\n'
    cases = experiment(bare + swept).cases
    assert [(case.problem.sigma[0], case.problem.hidden) for case in cases[::2]] == [
        (2, (2, 2)),
        (2, (3,)),
        (3, (2, 2)),
        (3, (3,)),
    ]
    assert all(one.problem is two.problem for one, two in zip(cases[::2], cases[1::2], strict=True))


def test_a_key_depends_on_the_content_alone() -> None:
    """It depends on every setting, and not on the name, the position or the number of trajectories."""
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
    """Runs on disk use this key. Every setting is given here, so that a new default alone does not change it."""
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


def test_listed_cases_are_the_only_ones_and_override_key_by_key() -> None:
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


def test_cases_need_no_tables_in_the_document() -> None:
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


def test_a_sweep_is_a_product_and_skips_keys_that_a_case_sets() -> None:
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
    assert list(keys(BASE.replace("scale = 0.5", "") + sweep)) == [
        "a, law.scale = 0.5, engine.rtol = 1e-06",
        "a, law.scale = 0.5, engine.rtol = 1e-08",
        "a, law.scale = 1.0, engine.rtol = 1e-06",
        "a, law.scale = 1.0, engine.rtol = 1e-08",
        "b, engine.rtol = 1e-06",
        "b, engine.rtol = 1e-08",
        "control, engine.rtol = 1e-06",
        "control, engine.rtol = 1e-08",
    ]


def test_a_swept_key_need_not_be_set_in_the_document() -> None:
    assert len(experiment(BASE.replace("scale = 0.5", "") + '[sweep]\n"law.scale" = [0.5, 1]\n').cases) == 2


def test_tied_subset_sums_only_warn() -> None:
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
