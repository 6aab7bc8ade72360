"""The arrays that an experiment was made of, in its run: data.npz, beside experiment.toml, which names its SHA-256."""

from __future__ import annotations

from collections.abc import Iterable

from basins.errors import DataError, RunError
from basins.experiment import Experiment
from basins.experiment.attached import named_in, refuse_other
from basins.store import layout
from basins.store.files import Files


def put_data(files: Files, experiment: Experiment) -> None:
    """Store the experiment's arrays, where it has some. Before what makes the folder a run."""
    for name, content in experiment.files.items():
        files.put(name, content)


def foreign_paths(files: Files, experiment: Experiment, of_creation: Iterable[str]) -> list[str]:
    """What is in a place that is no run yet, and is none of what creation writes: data.npz of other content too."""
    known = {*of_creation, *experiment.files}
    foreign = [path for path in files.paths("") if not (path in known or layout.is_system_file(path))]
    there = [name for name in experiment.files if files.exists(name)]
    return foreign + [name for name in there if files.get(name) != experiment.files[name]]


def wrong_data(files: Files, text: str) -> dict[str, str]:
    """What is wrong with the arrays that the experiment of this text has in its run, by file."""
    found = {}
    for name, wanted in named_in(text).items():
        try:
            refuse_other(files.get(name), wanted, files.uri)
        except FileNotFoundError:
            found[name] = "gone"
        except DataError as error:
            found[name] = error.what
    return found


def add_data(files: Files, text: str, experiment: Experiment) -> None:
    """Store the arrays of cases by which a run grows, before it does. text: the run's experiment.toml before that.

    Raises RunError where the run's own arrays are gone or have changed, or another file has the place of new ones.
    """
    refuse_wrong_data(files, text)
    known = named_in(text)
    for name, content in experiment.files.items():
        if name in known:
            continue
        if files.exists(name) and files.get(name) != content:
            what = f"{name} is there, and is no file of this run"
            raise RunError(what, where=files.uri, remedy="move it away, or give another --out")
        files.put(name, content)


def refuse_wrong_data(files: Files, text: str) -> None:
    """Raises RunError naming what `wrong_data` finds."""
    for name, what in wrong_data(files, text).items():
        what = f"{name} is gone" if what == "gone" else f"{name} {what}"
        raise RunError(what, where=files.uri, remedy=f"put back a copy of {name}, or give another --out")
