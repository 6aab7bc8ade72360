"""Several runs opened, and what each is called beside the others."""

from __future__ import annotations

import os
from collections.abc import Sequence

from basins.errors import ArgumentError
from basins.run_tables import Run, open_run

Path = str | os.PathLike[str] | Run


def opened(runs: Sequence[Path]) -> dict[str, Run]:
    """Runs by what they are called: the last parts of their paths, as many as tell them apart.

    Raises ArgumentError for one run, or one that is given twice; RunError where there is none.
    """
    if len(runs) < 2:
        raise ArgumentError(f"{len(runs)} runs", where="runs", remedy="give two runs or more")
    found = [run if isinstance(run, Run) else open_run(run) for run in runs]
    paths = [run.path for run in found]
    for path in paths:
        if paths.count(path) > 1:
            raise ArgumentError("given twice", where=path, remedy="give each run once")
    return dict(zip(names(paths), found, strict=True))


def names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of these paths that are different, in whole parts."""
    parts = [[part for part in path.split("/") if part] for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        short = ["/".join(part[-length:]) for part in parts]
        if len(set(short)) == len(short):
            return short
    return list(paths)
