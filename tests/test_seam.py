"""Outside landscapes/, code reaches a landscape through its contract, and does not name what only one kind has.

The words below belong to deep linear networks. Files that still use them are listed with the reason. The list may only
shrink: a file that is not on it must not use them, and one that no longer does must leave it.
"""

from __future__ import annotations

import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "basins"
WORDS = {"sigma", "modes", "widths", "gram"}

REASONS = {
    "proofs and rare events are of deep linear networks, and refuse another landscape (Case.problem)": [
        "proof/bounds.py",
        "proof/constants.py",
        "proof/log_norm.py",
        "proof/models.py",
        "proof/shape.py",
        "proof/steps.py",
        "rare/approach.py",
        "rare/approach_truth.py",
        "rare/chain_tail.py",
        "rare/codim.py",
        "rare/exponents.py",
        "rare/formatting.py",
        "rare/truth.py",
        "output/console/codim.py",
        "output/console/tail.py",
        "output/report/of_tail.py",
    ],
    "these laws are defined by modes or widths, and only a landscape that has them can be given one": [
        "laws/balanced.py",
        "laws/parameters.py",
        "laws/planted.py",
    ],
    "the experiment's document names the problem's keys, and so does who writes one": [
        "drafting.py",
        "experiment/document.py",
        "experiment/case_builder.py",
    ],
    "`modes` is the column of the code of a critical set, which readers of a run know by that name": [
        "classification/verdict.py",
        "estimate/counts.py",
        "estimate/of_run.py",
        "output/console/estimate.py",
        "output/console/row.py",
        "output/console/verify.py",
        "show.py",
        "summary/tabulated.py",
        "verify/__init__.py",
        "verify/labels.py",
    ],
    "what is said of a deep linear network is said in its words": [
        "description.py",
        "estimate/case.py",
        "estimate/sentences.py",
        "output/console/description.py",
        "output/console/screen.py",
        "output/figures/certified.py",
        "output/figures/occupancy.py",
        "output/figures/of_run.py",
        "output/figures/staircase.py",
        "output/figures/trajectory.py",
        "output/figures/transitions.py",
        "output/report/doubts.py",
        "output/report/tables.py",
        "summary/survival.py",
        "summary/tails.py",
        "summary/transitions.py",
    ],
    "σ is spelled out where a terminal has ASCII only": ["standard_output.py"],
}
ALLOWED = {name for names in REASONS.values() for name in names}


def words_of(file: Path) -> set[str]:
    """Those of WORDS that are a name, or the whole of a string, in the code; comments and docstrings are free."""
    found = set()
    with file.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.NAME:
                found.add(token.string)
            elif token.type == tokenize.STRING:
                found.add(token.string.strip("rbf").strip("'\""))
    return found & WORDS


FILES = sorted(
    name
    for path in PACKAGE.rglob("*.py")
    if not (name := path.relative_to(PACKAGE).as_posix()).startswith("landscapes/")
)


def test_only_listed_files_name_what_deep_linear_networks_have() -> None:
    naming = {name: sorted(found) for name in FILES if (found := words_of(PACKAGE / name))}
    new = {name: found for name, found in naming.items() if name not in ALLOWED}
    assert not new, f"ask the landscape instead (landscapes/base.py): {new}"


def test_every_listed_file_still_does() -> None:
    """So that the list says what is left to do."""
    settled = sorted(name for name in ALLOWED if name not in FILES or not words_of(PACKAGE / name))
    assert not settled, f"take off the list: {', '.join(settled)}"


@pytest.mark.parametrize("room", ["integrators", "codegen", "execution", "store", "random", "statistics"])
def test_a_room_that_names_nothing(room: str) -> None:
    """Rooms that know any landscape: none of their files may be listed."""
    assert any(name.startswith(f"{room}/") for name in FILES)
    assert not [name for name in ALLOWED if name.startswith(f"{room}/")]
