"""The examples: experiments with the data that they need, as examples/ of the source has them and a wheel brings them
along, in this folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from basins.errors import ArgumentError, RunError, nearest
from basins.home import with_home
from basins.store.local import LocalFiles

_HERE = Path(__file__).parent
FOLDER = _HERE if (_HERE / "iris.toml").exists() else _HERE.parents[1] / "examples"
"""Where they are: beside this file in an installation, at the root in a source tree."""

ORIGINS = "DATA.md"
"""Where the data are from, and under which licence."""


@dataclass(frozen=True)
class Example:
    """An experiment. about: what it is, in a sentence; files: the experiment, then its data, in FOLDER."""

    name: str
    about: str
    files: tuple[str, ...]

    @property
    def text(self) -> str:
        return (FOLDER / self.files[0]).read_text("utf-8")


def examples() -> list[Example]:
    """Every example, by name."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        text = path.read_text("utf-8")
        data = tomllib.loads(text).get("data", {}).get("path")
        found.append(Example(path.stem, _first_sentence(text), (path.name, *([data] if data else []))))
    return found


def example(name: str) -> Example:
    """The example of this name. Raises ArgumentError for one that is not there."""
    by_name = {one.name: one for one in examples()}
    if name not in by_name:
        raise ArgumentError(f"no example {name!r}", where="examples", remedy=nearest(name, by_name))
    return by_name[name]


def copy(name: str, to: str | Path) -> list[Path]:
    """Write an example and its data into the folder `to`, which is made if it is not there, and return the files.

    A file that is there with the same content is left as it is. Raises ArgumentError for a name that is no example's,
    and for a file that is there with other content: then nothing is written. RunError if the folder takes no files.
    """
    chosen, folder = example(name), Path(with_home(to))
    contents = {file: (FOLDER / file).read_bytes() for file in chosen.files}
    if folder.exists() and not folder.is_dir():
        raise ArgumentError("not a folder", where=str(folder), remedy="give a folder")
    try:
        new = {file: content for file, content in contents.items() if not _same(folder / file, content)}
    except OSError as error:
        raise RunError(f"not readable: {error.strerror}", where=str(folder), remedy="give another folder") from None
    files = LocalFiles(str(folder))
    for file, content in new.items():
        files.put(file, content)
    return [folder / file for file in contents]


def _same(path: Path, content: bytes) -> bool:
    """Whether the file is there with this content. Raises ArgumentError if it has another."""
    if not path.exists():
        return False
    if path.is_file() and path.read_bytes() == content:
        return True
    raise ArgumentError("is there with other content", where=str(path), remedy="move it, or give another folder")


def _first_sentence(text: str) -> str:
    """Of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    first, stop, _ = " ".join(lines).partition(". ")
    return f"{first}." if stop else first
