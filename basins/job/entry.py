"""The entry point of a job on a cluster: `python -m basins.job EXPERIMENT --out URI [what basins run takes]`.

`basins submit`, the RayJob manifest, `ray up` and Slurm all run this. It is `basins run` on the Ray that RAY_ADDRESS
names, with these additions:
- It compares the package versions here with those that a packed experiment was made with, before it imports packages
  that may be missing and before it writes anything.
- SIGTERM (`basins stop`, a drained node, `scancel`) ends it as Ctrl-C does: finished shards are kept.
- It reads the environment variables that `basins submit --env` sent from their file, here and in each worker.

The exit status is that of `basins run`.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from basins.errors import BasinsError, RunError
from basins.job.environment import adopt_environment
from basins.standard_output import guarded
from basins.versions import skew

MANIFEST = "manifest.json"
REFUSED, INTERRUPTED = 2, 130
REMEDY = "install the packages of basins' requirements.txt on every node of the cluster, or use its container"


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute the experiment. Always raises SystemExit."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    with guarded():
        _prepare(arguments)
    from basins import cli

    cli.main(["run", *arguments])


def _prepare(arguments: list[str]) -> None:
    """Make the checks that come before the command itself can be imported."""
    try:
        if arguments:
            refuse_skew(Path(arguments[0]))
        adopt_environment()
        # Import everything that the command needs, so that a missing package is reported.
        from basins import cli  # noqa: F401
        from basins.execution import run  # noqa: F401
        from basins.experiment import packed  # noqa: F401
        from basins.output.console import estimate  # noqa: F401
    except BasinsError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        _refuse(f"Python {sys.executable} of the cluster has no {error.name}; {REMEDY}")


def refuse_skew(experiment: Path) -> None:
    """Raises RunError if a packed experiment was made with other package versions than those here."""
    try:
        there = dict(json.loads((experiment / MANIFEST).read_bytes())["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # a TOML file, nothing, or a damaged pack: `basins run` will say which
    skewed = skew(there)
    if skewed:
        what = f"version skew: the submitting machine and the cluster have different versions: {skewed}"
        raise RunError(what, where=f"Python {sys.executable}", remedy=REMEDY)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _refuse(line: str) -> None:
    print(f"error: {line}", file=sys.stderr)
    sys.exit(REFUSED)
