"""The probe in every Python process of an episode: it records which shard the process holds, and in which phase.

Python imports this module at start because its folder is on PYTHONPATH. It changes nothing that basins computes or
stores. It wraps `basins.execution.shard.work` and the puts that are made in it, and appends a line to this process's
file before and after each. A line is one write to a file opened for appending, so the log of a killed process is
complete. The probe also simulates a slow disk: while BASINS_CHAOS/slow exists, an fsync takes the number of seconds in
that file.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

FOLDER = os.environ.get("BASINS_CHAOS", "")
WATCHED = "basins.execution.shard"


def say(event: str, **what: Any) -> None:
    """Append a line to this process's journal."""
    line = {"t": time.time(), "pid": os.getpid(), "parent": os.getppid(), "job": job(), "event": event, **what}
    descriptor = os.open(f"{FOLDER}/{os.getpid()}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def job() -> str | None:
    """On Ray, the driver that this process works for; elsewhere the driver is the parent process."""
    ray = sys.modules.get("ray")
    if ray is None or not getattr(ray, "is_initialized", lambda: False)():
        return None
    name: str = ray.get_runtime_context().get_job_id()
    return name


class Witnessed:
    """The files of a run, with an entry before and after every put."""

    def __init__(self, files: Any) -> None:
        self.files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def put(self, path: str, data: Any) -> None:
        say("put", path=path, size=len(data))
        try:
            self.files.put(path, data)
        except Exception as error:
            say("put raised", path=path, error=f"{type(error).__name__}: {error}")
            raise
        say("put ended", path=path)


def wrap(shard: ModuleType) -> None:
    """Wrap a shard's work and its files."""
    work, files_at = shard.work, shard.files_at

    @functools.wraps(work)
    def witnessed(run: str, case: str, number: int, attempt: int) -> Any:
        which = {"case": case, "shard": number, "attempt": attempt}

        def recorded(step: Callable[[], Any]) -> Any:
            try:
                return step()
            except Exception as error:  # not SystemExit, with which Ray ends a worker: its shard stays held
                say("raised", **which, error=f"{type(error).__name__}: {error}")
                raise

        def commit() -> Any:
            summary = recorded(integrated)
            say("end", **which, computed=summary.telemetry.computed)
            return summary

        say("begin", run=run, **which)
        integrated = recorded(lambda: work(run, case, number, attempt))
        return commit

    shard.work = witnessed  # type: ignore[attr-defined]
    shard.files_at = lambda *where, **how: Witnessed(files_at(*where, **how))  # type: ignore[attr-defined]


def slow_disk() -> None:
    """While FOLDER/slow exists, an fsync of a file or folder takes the number of seconds in it."""
    fsync = os.fsync

    def slowly(descriptor: int) -> None:
        try:
            with open(f"{FOLDER}/slow") as file:
                time.sleep(float(file.read() or 0))
        except FileNotFoundError:
            pass
        fsync(descriptor)

    os.fsync = slowly


class Finder(importlib.abc.MetaPathFinder):
    """Wraps the module WATCHED as it is imported, and nothing else."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def then_wrap(module: ModuleType) -> None:
                execute(module)
                wrap(module)

            spec.loader.exec_module = then_wrap  # type: ignore[method-assign]
        return spec


if FOLDER:
    sys.meta_path.insert(0, Finder())
    slow_disk()
