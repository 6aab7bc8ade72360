"""Checked labels: the sample is drawn as documented, a wrong label is found, the intervals are exact, and `estimate`
uses the result."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chosen_counts import CONTROL, GAUSSIAN, Outcome, made
from chosen_counts import experiment as of_spectrum
from damage import key, row
from damage import rewritten as written_again

from basins.landscapes.base import Verdict
from basins.run_tables import open_run
from basins.statistics import hypergeometric
from basins.store import files_at
from basins.store.rows import ShardTables
from basins.verify import Group, verify
from basins.verify import labels as checking
from basins.verify.labels import DENSITY, NULL, Row, draw, parts_of
from basins.verify.shards import ShardCheck

MINIMUM, SADDLE, CENSORED = (Group(DENSITY, verdict) for verdict in ("minimum", "saddle", "censored"))
CONTROLS = Group(NULL, "saddle")


def good(run: Any) -> list[ShardCheck]:
    """The shards of a run as the check of its bytes returns them."""
    checks = []
    for case in run.manifest.cases:
        blocks = run.blocks(case.key)
        for shard, first in enumerate(blocks["first_id"]):
            counts = blocks[blocks["first_id"] == first][["minimum", "saddle", "censored"]].sum()
            checks.append(ShardCheck(case.key, shard, (), tuple(int(k) for k in counts)))
    return checks


# --- the sample ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "sample", "parts"),
    [
        ({MINIMUM: 10**9}, 200, {MINIMUM: 200}),
        ({MINIMUM: 10**9, CENSORED: 10**6, CONTROLS: 1024}, 200, {MINIMUM: 160, CENSORED: 20, CONTROLS: 20}),
        ({MINIMUM: 10**9, SADDLE: 3, CENSORED: 0}, 200, {MINIMUM: 197, SADDLE: 3, CENSORED: 0}),
        ({MINIMUM: 50, CONTROLS: 60}, 200, {MINIMUM: 50, CONTROLS: 60}),
        ({CONTROLS: 60}, 20, {CONTROLS: 20}),
        ({}, 20, {}),
    ],
)
def test_the_sample_is_divided_by_weight(sizes: Mapping[Group, int], sample: int, parts: Mapping[Group, int]) -> None:
    found = parts_of(sizes, sample)
    assert sum(found.values()) == sum(parts.values())
    assert all(abs(found[group] - part) <= 1 for group, part in parts.items())


def test_each_row_of_a_group_has_the_same_chance_whatever_is_kept(tmp_path: Path) -> None:
    """With rows = "exceptions" minima have no rows: they are the ids without another verdict, and the same are
    drawn."""
    odd: dict[int, Outcome] = {id: ("saddle", 1) for id in range(0, 1500, 3)}
    odd |= {id: ("censored", "settled", 2.5) for id in range(1, 1500, 3)}
    of = of_spectrum(GAUSSIAN + CONTROL, trajectories=1500)
    run = made(tmp_path, of, {"gaussian": odd, "control": {id: ("saddle", 1) for id in range(1500)}})
    case = run.manifest.cases[0].key
    times: Counter[int] = Counter()
    for seed in range(20):
        rows = [*draw(run.view, run.manifest, good(run), 300, seed)]
        assert len(set(rows)) == 300
        for one in rows:
            if one.case == case:
                assert one.verdict == ("saddle", "censored", "minimum")[one.id % 3]
                assert one.modes == (1, None, 3)[one.id % 3]
                times[one.id] += one.verdict == "minimum"
    assert set(times) - {id for id, k in times.items() if not k} <= set(range(2, 1500, 3))
    drawn = np.array([times[id] for id in range(2, 1500, 3)])
    expected = drawn.sum() / 500
    assert abs(drawn[:341].mean() - expected) < 5 * np.sqrt(expected / 341)  # either shard alike
    assert ((drawn - expected) ** 2 / expected).sum() < 500 + 5 * np.sqrt(2 * 500)


def test_the_same_seed_draws_the_same_rows_whichever_rows_are_kept(originals: dict[str, Path]) -> None:
    drawn = {}
    for rows, path in originals.items():
        run = open_run(path)
        drawn[rows] = sorted(draw(run.view, run.manifest, good(run), 100, 3))
        assert drawn[rows] == sorted(draw(run.view, run.manifest, good(run), 100, 3))
        assert drawn[rows] != sorted(draw(run.view, run.manifest, good(run), 100, 4))
    assert drawn["all"] == drawn["exceptions"]


# --- a run -----------------------------------------------------------------------------------------------------------


def test_right_labels_agree_and_are_kept(copied: Callable[..., Path]) -> None:
    run = copied()
    found = verify(run, sample=24, blocks=0, seed=2)
    labels = found.labels
    assert labels is not None
    rates = {(rate["law"], rate["verdict"]): rate for rate in labels.rates()}
    checked = rates["with a density", "minimum"]["checked"]
    assert rates["with a density", "minimum"] == {
        "law": "with a density", "verdict": "minimum", "checked": checked, "disagreed": 0, "undecided": 0,
        "rows": 26, "uncovered": 0, "wrong": hypergeometric.upper(0, checked, 26, 0.95), "lower": 0.0,
        "upper": hypergeometric.upper(0, checked, 26, 0.95) / 26, "level": 0.95,
    }  # fmt: skip
    assert rates["null", "saddle"]["disagreed"] == 0
    resolved = rates["with a density", "censored"]  # H = 1: a larger budget brings each to its minimum
    assert (resolved["minimum"], resolved["saddle"], resolved["undecided"]) == (resolved["minimum"], 0, 0)
    assert sum(rate.get("checked", rate.get("minimum")) for rate in rates.values()) == 24  # type: ignore[misc]
    assert labels.path is not None
    content = (run / labels.path).read_bytes()
    assert json.loads(content)["rates"] == json.loads(json.dumps(labels.rates()))
    (run / labels.path).unlink()
    again = verify(run, sample=24, blocks=0, seed=2).labels
    assert again is not None
    assert again.path == labels.path
    assert (run / labels.path).read_bytes() == content
    other = verify(run, sample=24, blocks=0, seed=3).labels
    assert other is not None
    assert other.path != labels.path

    case = open_run(run).estimate().cases[0].to_dict()
    assert case["label_error"]["disagreed"] == 0
    assert 0 < case["label_error"]["checked"] <= 20
    assert verify(run, sample=0, blocks=0).findings == ()


def test_a_wrong_label_is_found(copied: Callable[..., Path]) -> None:
    """A minimum is relabelled a saddle, consistently in rows, block and digests, so no byte contradicts another."""
    run = copied()

    def lie(tables: ShardTables) -> ShardTables:
        tables = row(4, verdict="saddle", certificate="outlasted", modes=1, rank=1)(tables)
        (counted,) = tables.blocks.to_pylist()
        counted["strata"] = [
            {"modes": 3, "verdict": "minimum", "count": 19},
            {"modes": 1, "verdict": "saddle", "count": 1},
        ]
        counted |= {"minimum": 19, "saddle": 1}
        return tables._replace(blocks=type(tables.blocks).from_pylist([counted], schema=tables.blocks.schema))

    written_again(run, "integrated", 0, lie)
    found = verify(run, sample=40, blocks=0)
    assert found.findings == ()
    assert found.labels is not None
    wrong = [one for one in found.labels.rows if one.found == "disagreed"]
    case = key(run, "integrated")
    assert [(one.row, one.verdict) for one in wrong] == [(Row(case, 4, "saddle", 1), "minimum")]
    estimated = open_run(run).estimate().cases[0].label_error
    assert estimated is not None
    assert estimated.saddle.disagreed == 1
    assert estimated.saddle_measure.lower == 0.0  # a saddle of which one of one is wrong supports no bound
    computed = verify(run, sample=0, blocks=5)  # and computing again sees it too
    assert [one.what for one in computed.findings if "id 4" in one.what]


# --- what agrees -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "tighter", "found"),
    [
        (("minimum", 3), (Verdict.minimum, 3), "agreed"),
        (("minimum", 3), (Verdict.saddle, 1), "disagreed"),
        (("minimum", 3), (Verdict.censored, None), "undecided"),
        (("saddle", 1), (Verdict.saddle, 1), "agreed"),
        (("saddle", 1), (Verdict.saddle, 2), "disagreed"),  # another stratum
        (("saddle", 1), (Verdict.minimum, 3), "disagreed"),
        (("saddle", 1), (Verdict.censored, None), "undecided"),
        (("censored", None), (Verdict.censored, None), "undecided"),
        (("censored", None), (Verdict.minimum, 3), "minimum"),
        (("censored", None), (Verdict.saddle, 1), "saddle"),
    ],
)
def test_outcomes_by_label_and_reintegration(
    originals: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    label: tuple[str, int | None],
    tighter: tuple[Verdict, int | None],
    found: str,
) -> None:
    run = open_run(originals["all"])

    class Ended:
        verdict, modes = np.array([tighter[0]]), np.array([tighter[1] or 0], dtype=np.uint64)
        rank = np.array([-1 if tighter[1] is None else tighter[1].bit_count()])
        reason = np.array([0 if tighter[0] == Verdict.censored else -1])

    monkeypatch.setattr(checking, "integrate_batch", lambda *_: Ended())
    case = run.manifest.cases[0]
    settings = checking.tighter_settings(case)
    assert settings is not None
    checked = checking._check(run.manifest, Row(case.key, 5, *label), settings)
    assert checked.found == found


def test_the_check_has_its_own_solver_and_the_run_s_problem(originals: dict[str, Path]) -> None:
    for case in open_run(originals["all"]).manifest.cases:
        settings = checking.tighter_settings(case)
        assert settings is not None
        assert (settings.engine, settings.method) == ("reference", "LSODA")
        assert settings.rtol == case.settings.rtol / 100
        assert settings.atol == case.settings.atol / 100
        assert settings.budget >= 50_000
        assert (settings.at_start, settings.t_end) == (False, np.inf)


def test_tolerances_that_cannot_be_tightened_are_reported(tmp_path: Path) -> None:
    run = made(tmp_path, of_spectrum(GAUSSIAN + "engine = { rtol = 1e-13 }\n", trajectories=30))
    found = verify(tmp_path, sample=5, blocks=0).labels
    assert found is not None
    assert found.rows == ()
    assert found.path is None
    assert "rtol = 1e-13 cannot be 100 times tighter" in found.skipped["gaussian"]
    assert files_at(tmp_path).paths("verified/") == []
    assert run.estimate().cases[0].label_error is None
