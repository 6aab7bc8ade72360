"""Evidence from a run in an object store is that of the same run in a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from servers import Store

sys.path.append(str(Path(__file__).parents[1] / "evidence"))
from made_runs import CONTROL, GAUSSIAN, Fates, experiment, made

from basins.run_tables import open_run
from basins.summary import tabulated
from basins.summary.reading import Reading

N = 2500


@pytest.mark.slow
def test_the_tables_are_the_same(swift: Store, use: Callable[[Store], str], tmp_path: Path) -> None:
    """In progress: shards 0 and 1 of three count."""
    uri, visits = use(swift), {id: [(0.1, 0, 0.2)] for id in range(0, N, 3)}
    of = experiment(N, GAUSSIAN + CONTROL)
    by_name = {"gaussian": Fates([0.1 + id / N for id in range(N)], {5: 1}, (6,), visits), "control": Fates(1.0)}
    for out in (uri, tmp_path):
        made(out, of, by_name, shards=[0, 1])  # type: ignore[arg-type]
    there, here = Reading(open_run(uri)), Reading(open_run(tmp_path))
    for table in (
        lambda read: tabulated.measures(read.estimate),
        lambda read: tabulated.survivals(read.summaries()),
        tabulated.transitions,
        tabulated.visited,
    ):
        pd.testing.assert_frame_equal(table(there), table(here))
    assert there.summaries()[0].trajectories == 2048
