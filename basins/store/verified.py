"""RUN/verified: rows whose labels were checked by a tighter re-integration, and what it found; kept for `estimate`.

A file is what one sample of rows gave, named by its seed and a digest of the sampled ids: the same command on the same
run writes the same file, another seed another one, and nothing that was found is lost by looking again. `read_checks`
takes all files together. They lie outside the promise about bytes: they depend on the versions that checked.

What a re-integration found of a row labelled `minimum` or `saddle` is `agreed` (the same verdict, for a saddle the
same stratum), `disagreed`, or `undecided` (itself censored). Of a `censored` row it is `minimum`, `saddle` or
`undecided`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from basins.errors import RunError
from basins.store import layout
from basins.store.files import Files
from basins.store.manifest import Manifest, canonical_json

FOUND = {
    "minimum": ("agreed", "undecided", "disagreed"),
    "saddle": ("agreed", "undecided", "disagreed"),
    "censored": ("undecided", "minimum", "saddle"),
}
"""What may be found, by verdict; where files differ over a row, what stands last here is taken, and a row that was
censored once (extended since) counts by its later verdict."""

Rows = Mapping[str, Mapping[int, tuple[str, str]]]
"""Case key -> id -> (verdict, what was found)."""


@dataclass(frozen=True)
class Checks:
    """All rows that were ever checked."""

    rows: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)

    def outcomes(self, case: str, trajectories: int) -> Counter[tuple[str, str]]:
        """(verdict, found) -> rows, of a case's ids below `trajectories`."""
        return Counter(outcome for id, outcome in self.rows.get(case, {}).items() if id < trajectories)


def write_checks(files: Files, manifest: Manifest, seed: int, rows: Rows, said: Mapping[str, Any]) -> str:
    """Keep what a sample gave; its path. said: what else is worth keeping of it, JSON; "layers" must be there."""
    cases: dict[str, dict[str, dict[str, list[int]]]] = {}
    for case, found in rows.items():
        for id, (verdict, outcome) in sorted(found.items()):
            cases.setdefault(case, {}).setdefault(verdict, {}).setdefault(outcome, []).append(id)
    ids = canonical_json({case: sorted(found) for case, found in rows.items()})
    path = layout.verified(seed, hashlib.sha256(ids).hexdigest()[:12])
    files.put(path, canonical_json({**said, "experiment": manifest.digest, "seed": seed, "cases": cases}))
    return path


def read_checks(files: Files, manifest: Manifest, layers: int = 0, paths: Iterable[str] | None = None) -> Checks:
    """What was ever checked of this run's rows, or what these files say. Raises RunError for a damaged file.

    layers: shards that the run's layers have. What was checked under fewer is left out: the rows that were decided
    since, slow ones, had no chance to be drawn.
    """
    checks = Checks()
    for path in files.paths(layout.VERIFIED) if paths is None else paths:
        try:
            content = json.loads(files.get(path))
            if content["experiment"] != manifest.digest:
                raise ValueError("it is of another experiment")
            if content["layers"] != layers:
                continue
            for case, by_verdict in content["cases"].items():
                rows = checks.rows.setdefault(case, {})
                for verdict, by_outcome in by_verdict.items():
                    for outcome, ids in by_outcome.items():
                        FOUND[verdict].index(outcome)  # a word that means something
                        for id in ids:
                            rows[id] = max(rows.get(id, (verdict, outcome)), (verdict, outcome), key=_weight)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged ({error})",
                where=files.uri,
                remedy="move it away; `basins verify` writes it again",
            ) from None
    return checks


def _weight(found: tuple[str, str]) -> tuple[bool, int]:
    verdict, outcome = found
    return verdict != "censored", FOUND[verdict].index(outcome)
