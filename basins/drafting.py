"""`basins init`: a commented experiment on a data file. It says what was read, what was assumed, and what `basins
describe` says of it. What it writes is loaded again before it is written.

Assumed are: standardised inputs and an intercept; two hidden layers, or three where two cannot test the conjecture; a
Gaussian law, with weights half the size of those of a network that fits; and a control. Each is said beside its key.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from basins.description import describe
from basins.errors import ArgumentError, AssumptionError, AssumptionWarning, DataError, RunError
from basins.execution.base import cores
from basins.experiment import Experiment, load
from basins.experiment.columns import shown
from basins.experiment.data import Reading
from basins.experiment.data import load as load_data
from basins.experiment.files import SUFFIXES, suffix_of
from basins.experiment.look import NOT_ASKED, Look, Seen, look
from basins.experiment.pilot import decided as decide
from basins.experiment.reference import toml
from basins.home import with_home
from basins.landscapes.deep_linear.certificates import can_test
from basins.landscapes.deep_linear.problem import Problem
from basins.output.console.description import print_description
from basins.store.local import LocalFiles

TRAJECTORIES, CONTROL = 100_000, 1024
CLASS_LIKE = 20
"""A target of whole numbers with at most so many values may be meant as classes: a comment says how to have that."""

LISTED = 100
"""The most columns that are listed."""

BESIDE = 40
"""The column in which a comment beside a key begins."""


@dataclass(frozen=True)
class Draft:
    """A written experiment: its file, its text, and what to tell whoever asked for it, a line each."""

    path: Path
    text: str
    said: tuple[str, ...]


def draft(
    data: str | Path,
    targets: Sequence[str],
    *,
    out: str | Path | None = None,
    inputs: Sequence[str] = (),
    categorical: Sequence[str] = (),
    hidden: Sequence[int] = (),
    trajectories: int = TRAJECTORIES,
    reading: Reading | None = None,
) -> Draft:
    """Write an experiment on a data file into `out`, by default NAME.toml in this folder.

    inputs: columns to fit from, by default all that can be read as such; categorical: columns that are classes; hidden:
    widths, by default chosen by the shape; reading: how a CSV file is written, where it is not found.
    Raises ArgumentError where `out` is there already, DataError and AssumptionError for data that make no experiment;
    then nothing is written.
    """
    source = Path(with_home(data))
    name = _name(source)
    path = Path(with_home(out)) if out is not None else Path(f"{name}.toml")
    if os.path.lexists(path):
        raise ArgumentError("is there already", where=str(path), remedy="give another file with --out")
    if path.suffix.lower() != ".toml":
        raise ArgumentError("not the name of a TOML file", where=str(path), remedy="end it in .toml")
    if not targets:
        raise ArgumentError("no target", where="targets", remedy="name the columns to be fitted with --targets")
    if not source.exists():
        raise DataError("no such file", where=str(source), remedy="give the path of a data file")
    given = reading or Reading()
    seen = look(source, targets, inputs, categorical, given)
    both = [one for one in inputs if one in targets]
    if both:
        raise ArgumentError(f"column {both[0]!r} is input and target", where="inputs", remedy="take it out of one")
    for one in seen.columns:
        if one.role == "target" and one.distinct <= 1 and not one.missing and seen.rows > 1:
            what = f"target {shown(one.name)!r} is the same in every row"
            raise DataError(what, where=str(source), remedy="name a column that varies")
    if suffix_of(source) != ".npz" and not seen.inputs:
        why = "; ".join(f"{shown(one.name)}: {one.why}" for one in seen.without[:4])
        remedy = "name inputs with --inputs, classes with --categorical"
        raise DataError(f"no column can be an input ({why})", where=str(source), remedy=remedy)
    table = _data_table(path, source, seen, targets, inputs, categorical, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)  # said once, when the whole is loaded
        try:
            problem = _problem(table, path.parent, hidden)
            widths = list(hidden) or _hidden(problem)
            problem = problem if hidden else _problem(table, path.parent, widths)
        except AssumptionError as error:
            raise AssumptionError(error.what, where=f"{source}: {error.where}", remedy=error.remedy) from None
    text = f"{_header(source, seen)}\n{_body(name, table, seen, problem, widths, not hidden, trajectories)}"
    experiment = Experiment.from_toml(text, path.parent, source=str(path))
    text += "\n" + _described(experiment)
    _write(path, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        if load(path).digest != experiment.digest:
            raise RunError("does not read back as it was written", where=str(path), remedy="look at the disk")
    return Draft(path, text, tuple(_told(source, seen, problem, widths)))


def _name(source: Path) -> str:
    """The file's name without its suffixes, as an experiment's name."""
    stem = source.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    kept = "".join(letter for letter in stem if letter.isprintable()).strip()
    return kept or "data"


def _write(path: Path, text: str) -> None:
    if os.path.lexists(path):  # made by another in the meantime
        raise ArgumentError("is there already", where=str(path), remedy="give another file with --out")
    LocalFiles(str(path.parent)).put(path.name, text.encode())


# --- what is assumed ----------------------------------------------------------------------------------------------


def _data_table(
    path: Path,
    source: Path,
    seen: Look,
    targets: Sequence[str],
    inputs: Sequence[str],
    categorical: Sequence[str],
    given: Reading,
) -> dict[str, Any]:
    """[data]: columns are named only where not all are taken."""
    table: dict[str, Any] = {"path": _beside(source, path.parent), "targets": list(targets)}
    if inputs:
        table["inputs"] = list(inputs)
    elif suffix_of(source) != ".npz" and seen.without:
        table["inputs"] = seen.inputs
    classes = list(dict.fromkeys([*categorical, *seen.categorical]))
    if classes:
        table["categorical"] = classes
    table |= {key: value for key, value in asdict(given).items() if value not in (None, ())}
    return table | {"standardise": True, "intercept": True}


def _beside(source: Path, folder: Path) -> str:
    """The path of the data as seen from a folder: relative if they are in it or below it."""
    there, here = Path(os.path.abspath(source)), Path(os.path.abspath(folder))
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else str(there)


def _problem(table: dict[str, Any], base: Path, hidden: Sequence[int]) -> Problem:
    """The problem of these data, with these widths or, if there are none, two layers as narrow as the target."""
    X, Y, *_ = load_data(table, base)
    widths = list(hidden) or [Y.shape[1]] * 2
    options = {key: table[key] for key in ("standardise", "intercept")}
    return Problem.from_data(X, Y, hidden=widths, **options)


def _hidden(problem: Problem) -> list[int]:
    """Two layers a little wider than the target, if that can test the conjecture; else as narrow as it, or three."""
    d_x, d_y = problem.d_x, problem.d_y
    choices = ([d_y + 1] * 2, [d_y] * 2, [d_y + 1] * 3)
    return next(one for one in choices if can_test((d_x, *one, d_y)).can_test)


def _scale(problem: Problem, hidden: Sequence[int]) -> float:
    """Half the size that the weights of a network have that fits the largest singular value, evenly over layers and
    entries, to one digit."""
    fitting = float(problem.sigma[0]) ** (1 / (len(hidden) + 1)) / math.sqrt(sum(hidden) / len(hidden))
    return float(f"{0.5 * fitting:.1g}")


# --- the text -----------------------------------------------------------------------------------------------------


def _header(source: Path, seen: Look) -> str:
    """What was read, as comments: the file, how, and a line a column."""
    lines = [
        f"An experiment on {shown(source.name)}, written by `basins init`. What it assumed is said beside each key.",
        "",
        f"Read: {seen.rows:,} rows, {len(seen.columns):,} columns; {'; '.join(seen.reading)}.",
    ]
    rows = [("column", "taken as", "values", "different", "missing", "")]
    rows += [
        (shown(one.name) or "(no name)", _role(one), one.kind, f"{one.distinct:,}", f"{one.missing:,}", one.why)
        for one in seen.columns[:LISTED]
    ]
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(wide[k]) if k in (3, 4) else cell.ljust(wide[k]) for k, cell in enumerate(row)]
        lines.append("  " + "  ".join(cells).rstrip())
    if len(seen.columns) > LISTED:
        lines.append(f"  ... and {len(seen.columns) - LISTED:,} more")
    return _commented(lines)


def _role(one: Seen) -> str:
    return f"{one.role}, classes" if one.classes else one.role


def _body(
    name: str,
    table: dict[str, Any],
    seen: Look,
    problem: Problem,
    hidden: Sequence[int],
    chosen: bool,
    trajectories: int,
) -> str:
    """The experiment itself, each assumption beside its key."""
    width = max(hidden)
    shape = f"{len(hidden)} layers of {width}, d_y = {problem.d_y}" if chosen else "as asked for"
    law = {"name": "gaussian", "scale": _scale(problem, hidden)}
    planted = {"name": "planted", "modes": [0] if problem.d_y > 1 else [], "scale": law["scale"]}
    # Of one target no mode can be left out but the only one.
    beside = {
        "path": "relative to this file's folder" if not os.path.isabs(table["path"]) else "",
        "inputs": f"{len(seen.without)} columns are left out: above",
        "categorical": "one column a class",
        "standardise": "assumed: inputs centred and of variance 1",
        "intercept": "assumed: a column of ones, which centred inputs need",
    }
    lines = [
        _key("name", name),
        _key("seed", 1, "another seed, other starts"),
        _key("blocks_per_shard", "auto", "assumed: shards of about half a minute, by a pilot"),
        _key("visits_every", 100, "assumed: closest approaches of every 100th trajectory are kept"),
        "",
        "[data]",
        *(_key(key, value, beside.get(key, "")) for key, value in table.items()),
        *_class_like(seen),
        "",
        "[network]",
        _key("hidden", list(hidden), f"{'assumed' if chosen else 'widths'}: {shape}"),
        _key("flow", "reduced", "assumed: the paper's flow"),
        "",
        "[law]",
        _key("name", law["name"], "assumed; basins help experiment has the others"),
        _key("scale", law["scale"], "assumed: half the size of weights that fit sigma_1 evenly"),
        "",
        "[[case]]",
        _key("name", law["name"]),
        _key(
            "trajectories",
            trajectories,
            f"assumed: bounds the saddle basins by {3 / trajectories:.1g} where none is met",
        ),
        "",
        "# The control: starts planted on a saddle's stable manifold. It must read 100 % saddle.",
        "[[case]]",
        _key("name", "control"),
        _key("trajectories", CONTROL),
        _key("law", planted),
    ]
    return "\n".join([*lines, ""])


def _key(key: str, value: Any, comment: str = "") -> str:
    line = f"{key} = {toml(value)}"
    return f"{line.ljust(BESIDE)} # {comment}" if comment else line


def _class_like(seen: Look) -> list[str]:
    """Targets of few whole numbers, which may be meant as classes."""
    found = [
        one.name
        for one in seen.columns
        if one.role == "target" and not one.classes and _whole(one) and 2 <= one.distinct <= CLASS_LIKE
    ]
    if not found:
        return []
    names = ", ".join(map(shown, found))
    again = " ".join(f"--categorical {shown(name)}" for name in found)
    return [f"# {names}: few whole numbers, read as numbers. If they are classes: basins init {again}"]


def _whole(one: Seen) -> bool:
    return one.kind == "whole numbers" or one.kind.startswith(("int", "uint"))


def _described(experiment: Experiment) -> str:
    """What `basins describe` prints, as comments."""
    out = io.StringIO()
    screen = Console(file=out, width=100, highlight=False, markup=False, emoji=False, soft_wrap=False)
    decided = decide(experiment)
    print_description(screen, decided, [describe(decided, one) for one in decided.cases], cores())
    return _commented(
        ["What `basins describe` says of it (times are this machine's):", "", *out.getvalue().splitlines()]
    )


def _commented(lines: Sequence[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _told(source: Path, seen: Look, problem: Problem, hidden: Sequence[int]) -> list[str]:
    """What was read and assumed, for the screen."""
    targets = [one for one in seen.columns if one.role == "target"]
    said = [f"read {source}: {seen.rows:,} rows, {len(seen.columns):,} columns; {'; '.join(seen.reading)}"]
    kinds = ", ".join(f"{shown(one.name)} ({'classes' if one.classes else 'numbers'})" for one in targets)
    said.append(f"targets: {kinds}, d_y = {problem.d_y}; inputs: {len(seen.inputs):,} columns, d_x = {problem.d_x}")
    if seen.categorical:
        said.append(f"read as classes: {', '.join(map(shown, seen.categorical))}")
    without = [one for one in seen.columns if one.why and one.why != NOT_ASKED]
    said += [f"left out: {shown(one.name) or 'the first column'}: {one.why}" for one in without[:LISTED]]
    said += [f"note: {note}" for note in problem.notes]
    law = f"a Gaussian law of scale {_scale(problem, hidden):g}"
    said.append(f"assumed: standardise, intercept, hidden = {list(hidden)}, {law}, a control")
    said.append(can_test(problem.widths).sentence)
    return said
