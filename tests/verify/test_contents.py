"""Wrong rows that match their digests, because they were wrong when written, are found and computed again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from damage import again, data, key, paths, rewritten, row, with_values

from basins.store.layout import part
from basins.store.rows import ShardTables
from basins.verify import Trouble, verify


def joined(*tables: pa.Table) -> pa.Table:
    return pa.concat_tables(list(tables)).combine_chunks()


def block(**values: Any) -> Callable[[ShardTables], ShardTables]:
    return lambda tables: tables._replace(blocks=with_values(tables.blocks, 0, **values))


CONTENT: dict[str, tuple[str, Callable[[ShardTables], ShardTables], str, str]] = {
    "a doubled id": ("integrated", row(7, id=6), "trajectories", "id 6 occurs 2 times"),
    "another shard's id": ("integrated", row(19, id=20), "trajectories", "id 20 is not among its ids 0 to 19"),
    "a lost id": (
        "integrated",
        lambda t: t._replace(trajectories=t.trajectories.slice(1)),
        "trajectories",
        "id 0 is missing",
    ),
    "a minimum above the level": (
        "integrated", row(3, loss=0.6), "trajectories", "id 3 is a minimum by level whose loss is not below the level",
    ),
    "a saddle of the last stratum": (
        "control", row(3, modes=3, rank=2), "trajectories", "id 3 is a saddle of no stratum, or of the last",
    ),
    "a rank": ("control", row(3, rank=0), "trajectories", "id 3 is a rank that is not the number of its modes"),
    "a censored row without a reason": (
        "at once", row(8, reason=None), "trajectories", "without a reason",
    ),
    "a verdict": (
        "control", row(3, verdict="minimum"), "trajectories", "id 3 is a minimum that another certificate",
    ),
    "a count": ("integrated", block(minimum=19, saddle=1), "blocks", "counts 19 minimum, 1 saddle, 0 censored; its"),
    "counts that do not add up": ("integrated", block(minimum=19), "blocks", "counts 19 verdicts for 20 trajectories"),
    "evaluations": ("integrated", block(evaluations=1), "blocks", "has 1 evaluations; its rows"),
    "a histogram": ("integrated", block(log2_t=[20] + [0] * 65), "blocks", "a histogram of t that does not match"),
    "a stratum": (
        "control", block(strata=[{"modes": 2, "verdict": "saddle", "count": 12}]), "blocks", "other strata than those",
    ),
    "a visit": (
        "integrated",
        lambda t: t._replace(visits=joined(t.visits, with_values(t.visits.slice(0, 1), 0, id=3))),
        "visits", "id 3 is not among its watched ids",
    ),
    "visits out of order": (
        "integrated", lambda t: t._replace(visits=t.visits.take([0, *range(len(t.visits))])), "visits", "not in order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", CONTENT)
def test_wrong_rows_are_found_and_computed_again(copied: Callable[..., Path], wrong: str, bytes_of: Any) -> None:
    run = copied()
    whole = data(run)
    name, change, kind, words = CONTENT[wrong]
    rewritten(run, name, 0, change)
    found = bytes_of(run, repair_damage=True)
    path = part(kind, key(run, name), 0)  # type: ignore[arg-type]
    assert [one.path for one in found.findings if words in one.what] == [path]
    assert {one.trouble for one in found.findings} == {Trouble.content}
    if wrong in ("a doubled id", "a count"):
        again(run)  # their digests were of wrong rows: nothing is held to them
        assert data(run) == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t._replace(trajectories=t.trajectories.slice(1)), "id 0 is missing"),  # watched
        (row(1, verdict="minimum"), "is kept"),
    ],
)
def test_with_exceptions_the_rows_that_must_be_kept_are_checked(
    copied: Callable[..., Path], change: Callable[[ShardTables], ShardTables], words: str, bytes_of: Any
) -> None:
    run = copied("exceptions")
    rewritten(run, "at once", 0, change)
    assert bytes_of(run).findings[0].what.endswith(words)


def test_a_dropped_exception_is_found_by_its_block(copied: Callable[..., Path], bytes_of: Any) -> None:
    """A censored row that is neither kept nor counted as censored: its block no longer adds up."""
    run = copied("exceptions")
    rewritten(
        run,
        "at once",
        0,
        lambda t: t._replace(trajectories=joined(t.trajectories.slice(0, 1), t.trajectories.slice(2))),
    )
    assert (
        "counts 3 minimum, 0 saddle, 1021 censored; its rows are 0 minimum, 0 saddle, 1020 censored"
        in bytes_of(run).findings[0].what
    )


def test_a_false_minimum_is_found_by_recomputation(copied: Callable[..., Path], bytes_of: Any) -> None:
    """rows = "exceptions": a censored row is changed to a minimum, consistently in rows, block and digests."""
    run = copied("exceptions")
    whole = data(run)

    def hide(tables: ShardTables) -> ShardTables:
        kept = tables.trajectories
        short = joined(kept.slice(0, 1), kept.slice(2))
        (counted,) = tables.blocks.slice(0, 1).to_pylist()
        strata = [{"modes": 3, "verdict": "minimum", "count": counted["minimum"] + 1}]
        strata += [{**one, "count": one["count"] - 1} for one in counted["strata"] if one["verdict"] == "censored"]
        values = {"minimum": counted["minimum"] + 1, "censored": counted["censored"] - 1, "strata": strata}
        return tables._replace(trajectories=short, blocks=with_values(tables.blocks, 0, **values))

    rewritten(run, "at once", 0, hide)
    assert bytes_of(run).findings == ()  # no byte contradicts another
    found = verify(run, sample=0, blocks=5, repair_damage=True)
    case = key(run)
    assert paths(found) == {part("trajectories", case, 0), part("blocks", case, 0)}
    assert "id 1 computed again gives another row (1 of its block differ)" in [one.what for one in found.findings]
    assert {one.trouble for one in found.findings} == {Trouble.computed}
    assert found.left == found.findings  # a repair leaves it to a person
    assert found.set_aside is None
    assert set(data(run)) == set(whole)
