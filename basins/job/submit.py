"""`basins submit`: an experiment, and basins itself, to a Ray cluster's job API; then its log, and its exit status.

What goes along: the experiment packed (validated and decomposed here, so that the cluster needs no data) and the
variables that --env names, as Ray's `working_dir`; and the package `basins` as it is imported here, be it the installed
wheel or a working tree, as one of its `py_modules`. That lies in the same place on a node for the same code, so that
what is compiled for one job is there for the next. The packages it stands on are the cluster's own; basins.job
compares their versions.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import basins
from basins.errors import ArgumentError
from basins.experiment import Experiment
from basins.experiment.packed import pack
from basins.job import environment as sent
from basins.job.dashboard import Dashboard
from basins.store import files_at, s3_client

GRACE = 30
"""Seconds that a job which is stopped has to write down what is done; Ray's own default is 3."""

JOB = "basins.job"
"""The module that runs there, as `python -m basins.job` (entry.py): above the command line, which sends it."""

PYTHON = "python"
"""The Python of the PATH under which the cluster's `ray start` was called."""


def submit(
    experiment: Experiment,
    out: str,
    dashboard: Dashboard,
    *,
    options: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> str:
    """Submit a job that carries out the experiment into `out`; its id.

    options: of `basins run`, as its command line takes them; environment: names of variables that go along, with
    their values here. Raises ArgumentError for a variable that is not set, RunError where the cluster refuses.
    """
    variables = _values(environment)
    name = f"basins-{_identifier(experiment.name)}-{secrets.token_hex(3)}"
    command = [PYTHON, "-m", JOB, ".", "--out", out, *options]
    with tempfile.TemporaryDirectory(prefix="basins-submit-") as folder:
        return dashboard.submit(name, shlex.join(command), fill(Path(folder), experiment, variables))


def fill(folder: Path, experiment: Experiment, variables: dict[str, str]) -> dict[str, Any]:
    """Lay what goes along into an empty folder; Ray's runtime environment that brings it."""
    job, here = folder / "job", Path(basins.__file__).parent
    job.mkdir()
    for name, content in pack(experiment).items():
        (job / name).write_bytes(content)
    # A copy: Ray leaves out what a .gitignore names, and a virtual environment's own may name everything.
    package = shutil.copytree(here, folder / here.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    told = {"RAY_JOB_STOP_WAIT_TIME_S": str(GRACE)}
    if variables:
        file = job / "environment.json"
        file.touch(0o600)
        file.write_text(json.dumps(variables))
        told[sent.ENVIRONMENT] = file.name
    hook = f"{sent.__name__}.{sent.adopt_environment.__name__}"
    return {
        "working_dir": str(job),
        "py_modules": [str(package)],
        "env_vars": told,
        "worker_process_setup_hook": hook,
    }


def place(out: str) -> tuple[str, bool]:
    """`out` as the cluster must be told it, and whether that is a path of a machine's own, not a store by URI.

    Raises RunError for a URI of no known store. What is there is for the job to see: the store may not let us in.
    """
    if out.startswith("s3://"):
        s3_client.parse(out)
        return out, False
    return files_at(out).uri, True


def _values(names: Sequence[str]) -> dict[str, str]:
    for name in names:
        if name not in os.environ:
            what = "not set here" if name.isidentifier() else "no name of an environment variable"
            raise ArgumentError(f"{name!r}: {what}", where="env", remedy="export it, then give its name alone")
    return {name: os.environ[name] for name in names}


def _identifier(name: str) -> str:
    """An experiment's name as part of a job's id."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "run"
