"""The versions that the bytes of a shard depend on. Standard library alone: a job asks before it imports the rest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import basins

PACKAGES = ("numpy", "scipy", "pyarrow", "numba", "llvmlite")
"""Besides basins itself, whose versions can change a byte of a shard."""


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """What the bytes of a shard depend on here, sorted; of Python, a patch release is not among it."""
    found = {"basins": basins.__version__, "python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return tuple(sorted(found.items()))


def skew(there: Mapping[str, str], here: Mapping[str, str] | None = None) -> str:
    """What differs between two sets of versions, in words; empty where nothing does. here: by default this place's."""
    here = dict(versions()) if here is None else here
    return "; ".join(
        f"{name} = {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    )
