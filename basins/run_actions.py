"""What can be done with a run: the commands that take one, as methods of `Run`.

Each stands above the run that it is of, and is called by name (called_late.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from basins.arrays import whole
from basins.called_late import called_late
from basins.errors import ArgumentError
from basins.rows import html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from basins.experiment import Case
    from basins.progress import Listener
    from basins.run_tables import Run
    from basins.show import Reintegration, Shown
    from basins.status import Status
    from basins.verify import Verification

Step = Callable[[str, int, int], object]


class Page(str):
    """A report: the text of one HTML page. A notebook shows it in a frame of its own."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it, whole or not at all. Raises ArgumentError for a folder, RunError where nothing can be written."""
        return _put(path, self.encode())

    def __repr__(self) -> str:
        return f"Page({len(self):,} characters of HTML; page.save('report.html'))"

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self)}" width="100%" height="800" style="border: 0"></iframe>'


class RunActions:
    """The commands of a run. on, workers, address, deadline and listeners are those of `basins.run`."""

    def status(self) -> Status:
        """Shards done, counts by verdict, rate, time left and losses, from the run's files alone (`basins status`).
        Raises RunError for a damaged run."""
        found: Status = called_late("basins.status:Watcher")(self._run.files).look()
        return found

    def show(self, id: int, case: str | None = None) -> Shown:
        """One trajectory, with why it has its verdict (`basins show`). id: from 0 in each case; case: a key or a name,
        needed if the run has several. Raises ArgumentError for an id or a case that is not in the plan, RunError for a
        row that is not computed yet."""
        whole(id, "id")
        found: Shown = called_late("basins.show:show")(self._run, id, case)
        return found

    def reintegrate(self, id: int, case: str | None = None) -> tuple[Reintegration, Reintegration | None]:
        """A trajectory integrated again with the case's settings, and at tolerances 100 times tighter, None where
        double precision does not hold them (`basins show --reintegrate`). Raises as `show` does."""
        found: tuple[Any, Any] = called_late("basins.show:reintegrate")(self._run, self.show(id, case))
        return found

    def verify(
        self,
        *,
        sample: int = 200,
        blocks: int = 4,
        seed: int = 0,
        repair: bool = False,
        step: Step = lambda what, done, of: None,
    ) -> Verification:
        """Whether the run is what it was written as, and its labels right (`basins verify`): every byte is looked at,
        `blocks` random blocks are computed again, the labels of `sample` random rows are checked at tolerances 100
        times tighter, and what that says is kept in the run for `estimate`. seed: of both draws; repair: set damage
        aside; step: called with what is done, how many are done, of how many.

        Damage is returned (`findings`, and `left` where it is not set aside), not raised. Raises RunError where a store
        cannot be read or written, ArgumentError for numbers without a meaning.
        """
        found: Verification = called_late("basins.verify:verify")(
            self._run.path, sample=sample, blocks=blocks, seed=seed, repair_damage=repair, step=step
        )
        return found

    def prove(
        self,
        rows: int | None = None,
        *,
        case: str | None = None,
        seed: int = 0,
        on: Any = "ray",
        workers: int | None = None,
        address: str | None = None,
        deadline: float | None = None,
        listeners: Iterable[Listener] = (),
        on_message: Callable[[str], object] = str,
    ) -> Run:
        """Prove where the starts of the run flow (`basins verify --prove`), and return it: `basins.prove_run`."""
        found: Run = called_late("basins.execution.run:prove_run")(
            self._run.path, rows, case=case, seed=seed, on=on, workers=workers, address=address, deadline=deadline,
            listeners=listeners, on_message=on_message,
        )  # fmt: skip
        return found

    def extend(
        self,
        budget: int,
        *,
        on: Any = "ray",
        workers: int | None = None,
        address: str | None = None,
        deadline: float | None = None,
        listeners: Iterable[Listener] = (),
        on_message: Callable[[str], object] = str,
    ) -> Run:
        """Integrate again what ended at its budget, and return the run with this layer: `basins.extend`."""
        found: Run = called_late("basins.execution.run:extend")(
            self._run.path, budget, on=on, workers=workers, address=address, deadline=deadline, listeners=listeners,
            on_message=on_message,
        )  # fmt: skip
        return found

    def migrate(self, out: str | os.PathLike[str], *, step: Step = lambda what, done, of: None) -> Run:
        """Write a run of an older schema again at `out`, and return that: `basins.migrate`."""
        found: Run = called_late("basins.commands:migrate")(self._run.path, out, step=step)
        return found

    # --- to look at ---------------------------------------------------------------------------------------------------

    def plot(self, name: str, case: str | None = None, *, id: int | None = None) -> Figure:
        """A figure (`basins plot`): "loss", "occupancy", "survival", "visits", "certified", "drift", "cost", of a case
        or, those that can, of all; or "trajectory", of one id. A matplotlib Figure that is the caller's: save it with
        `figure.savefig`. Needs the extra `report`. Raises ArgumentError for another name, where a case has to be named,
        and for an id that is missing or not wanted."""
        if (name == "trajectory") != (id is not None):
            remedy = "give id=, of one trajectory" if name == "trajectory" else "leave it out: one is of 'trajectory'"
            raise ArgumentError(f"{'no id' if id is None else 'an id'} for {name!r}", where="id", remedy=remedy)
        if id is None:
            found: Figure = called_late("basins.output.figures.of_run:figure_of")(self._run, name, case)
        else:
            found = called_late("basins.output.figures.of_run:of_trajectory")(self._run, id, case)
        return found

    def report(self, out: str | os.PathLike[str] | None = None) -> Page:
        """The report of the run, one HTML page that needs no network (`basins report`); also written to `out`, if it is
        given. Needs the extra `report`. Raises RunError for a damaged run, ArgumentError where `out` is a folder."""
        if out is not None:
            _target(out)  # before any work
        page = Page(called_late("basins.output.report:report")(self._run))
        if out is not None:
            page.save(out)
        return page

    def to_pandas(self) -> pd.DataFrame:
        """The rows of all cases, `trajectories()`: case, verdict, certificate and reason are categories of all words
        there are."""
        return self._run.trajectories()

    # --- cases --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many cases there are; it never makes a run false."""
        return len(self._run.manifest.cases)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Case]:
        return iter(self._run.manifest.cases)

    def __getitem__(self, case: str | int) -> Case:
        """A case by its place, its key or its name."""
        if isinstance(case, int) and not isinstance(case, bool):
            return self._run.manifest.cases[case]
        if not isinstance(case, str):
            raise ArgumentError(f"{case!r} is no case", where=self._run.path, remedy="give its place, key or name")
        return self._run.case(case)

    def __repr__(self) -> str:
        manifest = self._run.manifest
        many, rows = len(manifest.cases), sum(case.trajectories for case in manifest.cases)
        layers = f", {len(self._run.layers)} layer(s)" if self._run.layers else ""
        return f"Run({self._run._files.uri!r}: {manifest.name!r}, {many:,} case(s), {rows:,} trajectories{layers})"

    def _repr_html_(self) -> str:

        manifest, columns = self._run.manifest, ("name", "law", "trajectories", "shards")
        table = self._run.cases()[["case", *columns]].copy()
        table["shards done"] = [len(self._run.committed(case.key)) for case in manifest.cases]
        return html(repr(self), table)

    @property
    def _run(self) -> Run:
        return cast("Run", self)


def _target(out: str | os.PathLike[str]) -> Path:
    """The file to write. Raises ArgumentError for what names none."""
    try:
        path = Path(out)
    except TypeError:
        raise ArgumentError(f"{out!r} names no file", where="out", remedy="give a file's name") from None
    if path.is_dir():
        raise ArgumentError("a folder", where=str(out), remedy="give a file's name")
    return path


def _put(out: str | os.PathLike[str], data: bytes) -> Path:
    from basins.store.local import LocalFiles

    path = _target(out)
    LocalFiles(str(path.parent)).put(path.name, data)
    return path
