"""The packages that a plain installation leaves out: each is in an extra, and where one is missing the refusal says
what needs it, which extra has it, and the line that installs it.

`required` looks whether a package is there without importing it; `importing` is put around a late import.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from basins.errors import MissingExtraError

EXTRAS = {"ray": "ray", "sklearn": "data", "matplotlib": "report", "jinja2": "report"}
"""Package, by the name under which it is imported -> the extra that installs it."""

NAMES = {"ray": "Ray", "sklearn": "scikit-learn", "matplotlib": "matplotlib", "jinja2": "Jinja2"}


def required(package: str, asked: str, *, where: str = "", instead: str = "") -> None:
    """Raises MissingExtraError unless the package is installed.

    asked: what needs it, in words; where: the key or the option that asked for it; instead: what else to do, such as
    "choose --on processes".
    """
    there = sys.modules[package] if package in sys.modules else importlib.util.find_spec(package)
    if there is None:
        raise _missing(package, asked, where, instead)


@contextmanager
def importing(package: str, asked: str, *, where: str = "", instead: str = "") -> Iterator[None]:
    """Raises MissingExtraError if an import inside fails. The arguments are those of `required`.

    A package that is installed but broken, or lacks a package of its own, is not called missing: the error says what
    failed.
    """
    try:
        yield
    except ImportError as error:
        if error.name == package:
            raise _missing(package, asked, where, instead) from None
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        what = f"{asked} needs {NAMES[package]}, which is there but cannot be imported ({said})"
        remedy = f"install it anew: {_line(package, '--force-reinstall ')}{_or(instead)}"
        raise MissingExtraError(what, where=where, remedy=remedy) from error


def _missing(package: str, asked: str, where: str, instead: str) -> MissingExtraError:
    what = f"{asked} needs {NAMES[package]}, which is not installed (extra {EXTRAS[package]!r})"
    return MissingExtraError(what, where=where, remedy=f"{_line(package)}{_or(instead)}")


def _line(package: str, options: str = "") -> str:
    return f'pip install {options}"ovf-basins[{EXTRAS[package]}]"'


def _or(instead: str) -> str:
    return f", or {instead}" if instead else ""
