"""The versions that the bytes of a shard depend on. Uses the standard library alone: a job checks it before importing
the rest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import basins

PACKAGES = ("numpy", "scipy", "pyarrow", "numba", "llvmlite")
"""The packages besides basins whose versions can change a byte of a shard."""


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """The versions here that the bytes of a shard depend on, sorted; the patch release of Python is not included."""
    found = {"basins": basins.__version__, "python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return tuple(sorted(found.items()))


def skew(there: Mapping[str, str], here: Mapping[str, str] | None = None) -> str:
    """A description of the differences between two sets of versions, "" if there are none. here: by default this
    process's."""
    here = dict(versions()) if here is None else here
    return "; ".join(
        f"{name} = {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    )
