"""A growth that is cut off anywhere: no row is lost, every reader reads, and the same command ends it."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "execution"))
from experiments import data_files
from growing import NARROW, but_for_growth, growing

from basins.execution import shard as shard_module
from basins.execution.run import run
from basins.experiment import Experiment
from basins.run_tables import open_run
from basins.status import Watcher
from basins.store import commit, files_at
from basins.store.local import LocalFiles
from basins.summary import summarise
from basins.verify import Trouble, verify


class Crash(BaseException):
    """The machine stops here."""


ASKED = growing(1200, 60, more=NARROW)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "run"
    run(growing(900), path, on="inline")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("large") / "run"
    run(ASKED, path, on="inline")
    return but_for_growth(data_files(path))


@pytest.fixture(scope="module", autouse=True)
def integrated_once() -> Any:
    """Each shard is integrated once for all of these tests."""
    compute, known = shard_module.compute_shard, {}

    def remembered(case: Any, seed: int, blocks: range, *rest: Any) -> Any:
        key = case.key, case.trajectories, seed, blocks, rest
        if key not in known:
            known[key] = compute(case, seed, blocks, *rest)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_module, "compute_shard", remembered)
        yield


def cut_off(path: Path, after: int, asked: Experiment = ASKED) -> list[str] | None:
    """Grow the run on a machine that stops before its next put; the puts and deletions that were done. None: the
    growth came to its end."""
    done: list[str] = []
    verbs: dict[str, Callable[..., None]] = {"put": LocalFiles.put, "delete": LocalFiles.delete}

    def counting(verb: str) -> Callable[..., None]:
        def step(files: LocalFiles, at: str, *data: Any) -> None:
            if len(done) == after and not at.startswith("telemetry/"):
                raise Crash
            verbs[verb](files, at, *data)
            if not at.startswith("telemetry/"):
                done.append(f"{verb} {at}")

        return step

    with pytest.MonkeyPatch.context() as patch:
        for verb in verbs:
            patch.setattr(LocalFiles, verb, counting(verb))
        try:
            run(asked, path, on="inline")
        except Crash:
            return done
    return None


def check(path: Path, rows: Any, visits: Any, sizes: dict[str, int]) -> None:
    """All that was there is there, once, for every reader."""
    opened = open_run(path)
    for name, size in sizes.items():
        there = opened.trajectories(name, contiguous=True)
        assert len(there) >= size
        assert list(there["id"]) == list(range(len(there)))
        old = rows[rows["case"] == opened.case(name).key].drop(columns=["case", "name"]).reset_index(drop=True)
        assert there.drop(columns=["case", "name"]).iloc[:size].equals(old), name
        seen = opened.visits(name, contiguous=True)
        before = visits[visits["case"] == opened.case(name).key].drop(columns=["case", "name"]).reset_index(drop=True)
        assert seen[seen["id"] < size].drop(columns=["case", "name"]).reset_index(drop=True).equals(before), name
        assert opened.blocks(name, contiguous=True)["count"].sum() == len(there)
        assert summarise(opened, name).trajectories == len(there)
        estimate = next(one for one in opened.estimate().cases if one.name == name)
        assert estimate.trajectories == len(there)
    # Digests that a killed driver did not write of a run that is whole are named, as of any run.
    assert [one for one in verify(path, sample=0, blocks=0).findings if one.trouble is not Trouble.digests] == []
    Watcher(files_at(path)).look()


def check_everywhere(small: Path, large: dict[str, Any], folder: Path) -> list[str]:
    """Cut off at each step; the steps."""
    opened = open_run(small)
    rows, visits = opened.trajectories(), opened.visits()
    sizes = {case.name: case.trajectories for case in opened.manifest.cases}
    steps: list[str] = []
    for after in range(100):
        path = folder / str(after)
        shutil.copytree(small, path)
        done = cut_off(path, after)
        if done is None:
            break
        steps = done
        check(path, rows, visits, sizes)
        run(ASKED, path, on="inline")
        assert but_for_growth(data_files(path)) == large, f"cut off after {done[-1:]}"
        assert json.loads((path / "manifest.json").read_text())["grown"][0]["cases"][0]["trajectories"] == 900
        shutil.rmtree(path)
    return steps


def test_no_step_of_a_growth_loses_a_row(small: Path, large: dict[str, Any], tmp_path: Path) -> None:
    steps = check_everywhere(small, large, tmp_path)
    kinds = [step.split("/")[0] for step in steps]
    assert kinds[:3] == ["put manifest.json", "put cases.parquet", "put experiment.toml"]
    shards: dict[str, list[str]] = {}  # the files of each shard, in the order in which they are put
    for step in steps:
        kind, _, shard = step.removeprefix("put ").partition("/")
        if kind in ("trajectories", "visits", "blocks"):
            shards.setdefault(shard, []).append(kind)
    replaced, begun = ("trajectories", "visits", "blocks"), ("visits", "blocks", "trajectories")
    # The short shards of two cases are replaced; one case gets a shard more, and one case is new.
    assert Counter(map(tuple, shards.values())) == {replaced: 2, begun: 2}
    assert sum(kind.endswith("digests") for kind in kinds) >= 4


@pytest.mark.parametrize("order", [("blocks", "visits", "trajectories"), ("visits", "blocks", "trajectories")])
def test_another_order_is_seen(
    order: tuple[str, ...], small: Path, large: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "REPLACE_ORDER", order)
    with pytest.raises(Exception, match=r"(?s).+"):
        check_everywhere(small, large, tmp_path)


def test_a_growth_that_was_cut_off_goes_on_to_more(small: Path, tmp_path: Path) -> None:
    """Whatever was reached, a still larger number is taken from there, and a smaller one refused."""
    run(growing(1300, 60, more=NARROW), tmp_path / "at once", on="inline")
    expected = but_for_growth(data_files(tmp_path / "at once"))
    for after in (1, 2, 5):
        path = tmp_path / str(after)
        shutil.copytree(small, path)
        assert cut_off(path, after) is not None
        with pytest.raises(Exception, match="a run grows and never shrinks"):
            run(growing(900, 60, more=NARROW), path, on="inline")
        run(growing(1300, 60, more=NARROW), path, on="inline")
        assert but_for_growth(data_files(path)) == expected
        assert len(json.loads((path / "manifest.json").read_text())["grown"]) == 2
