"""docs/errata.md names tests; a name that is no test shows nothing."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ERRATA = (ROOT / "docs" / "errata.md").read_text()


def test_every_test_that_the_errata_name_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", ERRATA)
    assert len(named) > 15
    for path, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{test}"


def test_every_erratum_says_what_is_right_and_how_it_is_shown():
    entries = re.split(r"^### ", ERRATA, flags=re.MULTILINE)[1:]
    assert [int(entry.split(".")[0]) for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        assert "**Right:**" in entry, entry.splitlines()[0]
        assert "**Shown:**" in entry, entry.splitlines()[0]
