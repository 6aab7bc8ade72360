"""`basins submit`: sends an experiment, and basins itself, to a Ray cluster's job API.

Two things are sent. Ray's `working_dir` holds the packed experiment (validated and decomposed here, so that the cluster
needs no data) and the variables that --env names. One of its `py_modules` is the package `basins` as it is imported
here, whether an installed wheel or a working tree. The same code gets the same path on a node, so code that is compiled
for one job is there for the next. The packages that basins depends on are the cluster's own; basins.job compares their
versions.
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
"""Seconds that a stopped job has to commit finished shards; Ray's own default is 3."""

JOB = "basins.job"
"""The module that runs there, as `python -m basins.job` (entry.py): above the command line, which sends it."""

PYTHON = "python"
"""The Python on the PATH with which the cluster's `ray start` was called."""


def submit(
    experiment: Experiment,
    out: str,
    dashboard: Dashboard,
    *,
    options: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> str:
    """Submit a job that executes the experiment into `out`, and return the job's id.

    options: command-line options of `basins run`; environment: names of variables that are sent with their values here.
    Raises ArgumentError for a variable that is not set, RunError if the cluster refuses.
    """
    variables = _values(environment)
    name = f"basins-{_identifier(experiment.name)}-{secrets.token_hex(3)}"
    command = [PYTHON, "-m", JOB, ".", "--out", out, *options]
    with tempfile.TemporaryDirectory(prefix="basins-submit-") as folder:
        return dashboard.submit(name, shlex.join(command), fill(Path(folder), experiment, variables))


def fill(folder: Path, experiment: Experiment, variables: dict[str, str]) -> dict[str, Any]:
    """Put the files to send into an empty folder, and return the Ray runtime environment that sends them."""
    job, here = folder / "job", Path(basins.__file__).parent
    job.mkdir()
    for name, content in pack(experiment).items():
        (job / name).write_bytes(content)
    # It is a copy, because Ray leaves out what a .gitignore names, and a virtual environment's may name everything.
    package = shutil.copytree(here, folder / here.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    env_vars = {"RAY_JOB_STOP_WAIT_TIME_S": str(GRACE)}
    if variables:
        file = job / "environment.json"
        file.touch(0o600)
        file.write_text(json.dumps(variables))
        env_vars[sent.ENVIRONMENT] = file.name
    hook = f"{sent.__name__}.{sent.adopt_environment.__name__}"
    return {
        "working_dir": str(job),
        "py_modules": [str(package)],
        "env_vars": env_vars,
        "worker_process_setup_hook": hook,
    }


def place(out: str) -> tuple[str, bool]:
    """(`out` as it is passed to the cluster, whether it is a file path and not the URI of a store).

    Raises RunError for a URI of an unknown store. It does not look at the contents, since the store may refuse access
    from this machine; the job does that.
    """
    if out.startswith("s3://"):
        s3_client.parse(out)
        return out, False
    return files_at(out).uri, True


def _values(names: Sequence[str]) -> dict[str, str]:
    for name in names:
        if name not in os.environ:
            what = "not set here" if name.isidentifier() else "not the name of an environment variable"
            raise ArgumentError(f"{name!r}: {what}", where="env", remedy="export it, then give only its name")
    return {name: os.environ[name] for name in names}


def _identifier(name: str) -> str:
    """An experiment's name as part of a job's id."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "run"
