"""Transitions: stays, transitions, dwell times and unknown steps, on chosen visits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_runs import Fates, experiment, made

from basins.errors import RunError
from basins.statistics.binomial import one_sided_upper
from basins.store import layout
from basins.summary.transitions import CENSORED, START, transitions

FULL = 3
# sigma = (2, 1), H = 2: near {} and {1} where |grad L| <= 0.01 sqrt(3) 2^(5/3) = 0.0550, near {0} where <= 0.0173
VISITS = {
    0: [(1.0, 0, 0.05), (1.5, 1, 0.02), (2.0, 0, 0.025), (4.0, 1, 0.01)],  # {} twice, a slow-down between; then {0}
    1: [(3.0, 2, 0.01)],
    2: [(1.0, 0, 0.06), (2.0, 1, 0.02), (3.0, 2, 12.4)],  # slow-downs alone
    3: [(1.0, 0, 0.0125)],
    4: [(1.0, 1, 0.005), (2.0, 0, 0.05), (3.0, 1, 0.005)],  # back and forth
    1030: [(5.0, 0, 2.0**-10)],
}


def relative(gradient_norm: float, sigma: float = 2.0) -> float:
    """The distance at a stratum whose largest unfitted singular value is sigma, for H = 2."""
    return (gradient_norm / (3**0.5 * sigma ** (5 / 3))) ** 0.5


FATES = Fates(t=8.0, saddles={4: 1}, censored=(3,), visits=VISITS)


def test_transitions_and_stays(tmp_path: Path) -> None:
    found = transitions(made(tmp_path, experiment(1100), {"gaussian": FATES}), "gaussian")
    assert (found.watched, found.visits, found.without, found.censored) == (1100, 13, 1095, 1)
    assert found.slow_downs == 4  # one of 0, three of 2
    # 0 passes {} and {0}; 1 passes {1}; 4 passes {0} and {}, and stays at {0}; 1030 passes {}; 3 may yet stay at {}
    assert found.passed == 6
    assert found.counts == {
        (START, FULL): 1095,
        (START, 0): 3,
        (START, 2): 1,
        (START, 1): 1,
        (0, 1): 2,
        (1, 0): 1,
        (1, FULL): 1,
        (2, FULL): 1,
        (0, FULL): 1,
        (0, CENSORED): 1,
    }
    assert found.rank_increments == {-1: 1, 1: 4, 2: 1}
    at_origin = found.stays[0]
    assert (at_origin.trajectories, at_origin.stays, at_origin.cut) == (4, 4, 1)
    # 0 stays from t = 1 to its arrival at {0}; 4 from 2 to 3; 1030 from 5 to the stop; 3 was cut
    assert at_origin.dwell.total == 3
    assert at_origin.dwell.below()[np.searchsorted(at_origin.dwell.edges, [1.0, 2.0, 4.0])].tolist() == [0, 1, 3]
    assert at_origin.closest == pytest.approx(relative(2.0**-10))
    assert at_origin.least_norm == 2.0**-10
    assert found.stays[1].trajectories == 2  # 0, and 4 whose limit it is
    assert found.stays[1].stays == 3


def test_tables(tmp_path: Path) -> None:
    found = transitions(made(tmp_path, experiment(1100), {"gaussian": FATES}), "gaussian")
    edges, strata = found.table(), found.strata_table()
    assert edges.iloc[0]["source"] == "start"
    assert edges.groupby("source")["share"].sum().tolist() == pytest.approx([1.0] * 4)
    assert strata["stratum"].tolist() == ["I(1), S = {}", "I(2), S = {1}", "I(3), S = {0}"]
    assert strata["share"].tolist() == pytest.approx([4 / 1100, 1 / 1100, 2 / 1100])
    assert strata["closest"].tolist() == pytest.approx([relative(2.0**-10), relative(0.01), relative(0.005, 1.0)])
    assert strata["least_norm"].tolist() == pytest.approx([2.0**-10, 0.01, 0.005])


def test_strata_that_are_never_passed_are_bounded(tmp_path: Path) -> None:
    fates = Fates(8.0, visits={7: [(1.0, 0, 0.05), (2.0, 2, 0.5)]})
    found = transitions(made(tmp_path, experiment(500), {"gaussian": fates}), "gaussian")
    assert found.never_met == (2, 1)  # what only a slow-down was nearest to is not passed
    assert found.bound == one_sided_upper(0, 500)


def test_only_watched_ids_are_counted(tmp_path: Path) -> None:
    """In a run that keeps only exceptions, an unwatched saddle has a row but no visits, and is not counted."""
    of = experiment(1100, rows="exceptions", visits_every=10)
    found = transitions(made(tmp_path, of, {"gaussian": Fates(8.0, saddles={4: 1, 20: 2}, visits=VISITS)}), "gaussian")
    assert found.watched == 110
    assert found.counts == {
        (START, FULL): 107,
        (START, 0): 2,
        (0, 1): 1,
        (1, FULL): 1,
        (0, FULL): 1,
        (START, 2): 1,
    }
    assert "every 10-th id" in found.sentence()


def test_a_case_without_watched_ids_says_so(tmp_path: Path) -> None:
    found = transitions(made(tmp_path, experiment(100, visits_every=0), {"gaussian": FATES}), "gaussian")
    assert "No id is watched" in found.sentence()
    assert found.never_met == ()
    assert found.bound is None
    assert found.table().empty
    assert found.strata_table().empty
    nobody = transitions(made(tmp_path / "none", experiment(100), {}), "gaussian")
    assert nobody.sentence() == "No watched id is counted yet."


def test_visits_without_a_row_are_refused(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(2048), {"gaussian": FATES})
    key = run.case("gaussian").key
    run.files.put(layout.part("visits", key, 1), run.files.get(layout.part("visits", key, 0)))
    with pytest.raises(RunError, match="visits of id 0, which has no row"):
        transitions(run, "gaussian")


def test_a_missing_visits_file_is_reported_by_name(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(2048), {"gaussian": FATES})
    run.files.delete(layout.part("visits", run.case("gaussian").key, 1))
    with pytest.raises(RunError, match=r"part-00000001.parquet is gone"):
        transitions(run, "gaussian")
