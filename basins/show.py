"""One row of a run: all that is known about it, an explanation of its verdict, and the trajectory integrated again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from basins import laws
from basins.called_late import Printed
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import PATIENCE, REASONS, Reason
from basins.errors import ArgumentError, RunError
from basins.estimate.sentences import modes_text, remedy_of, stratum_text
from basins.experiment import Case
from basins.integrators.base import SMALLEST_TOLERANCE, Settings
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.laws import BLOCK
from basins.run_tables import Run
from basins.store import layout, parquet, proved, rows
from basins.store.passages import with_passages
from basins.store.schemas import Tables

TIGHTER = 100
"""The second re-integration uses tolerances this many times tighter."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Reintegration:
    """A trajectory that was integrated again. settings: the settings used; row: the result as a row of the run;
    differs: the columns that are not bitwise equal to the stored row."""

    settings: Settings
    row: Row
    differs: tuple[str, ...]

    def same_limit(self, row: Row) -> bool:
        """Whether verdict and stratum agree with `row`."""
        return all(self.row[name] == row[name] for name in ("verdict", "modes"))


@dataclass(frozen=True, repr=False)
class Shown(Printed):
    """One row of a run and its case. visits: with the columns of store/passages.py, None if the id was not watched;
    kept: whether the row is in the run (otherwise it was integrated again for this); layer: the layer that the row
    comes from, 0 for the base (in a layer the case's settings have the layer's budget); proof: the row of its start in
    RUN/proved (store/proved.py), None if no proof was tried."""

    case: Case
    row: Row
    visits: list[Row] | None
    kept: bool = True
    layer: int = 0
    proof: Row | None = None


def show(run: Run, id: int, case: str | None = None) -> Shown:
    """The row with this id. case: a key or a name; it may be omitted if the run has one case.

    Raises ArgumentError for an id or a case that is not in the plan, RunError for a row that is not computed yet.
    """
    the_case = one_case(run, case)
    shown = _as_computed(run, id, the_case)
    return replace(shown, proof=proved.row_of(run.files, run.manifest, the_case, id))


def _as_computed(run: Run, id: int, the_case: Case) -> Shown:
    if not 0 <= id < the_case.trajectories:
        raise ArgumentError(
            f"id {id} is not in case {the_case.name!r}",
            where="--id",
            remedy=f"its ids are 0 to {the_case.trajectories - 1}",
        )
    shard = id // BLOCK // run.manifest.blocks_per_shard
    there = shard in run.committed(the_case.key)
    if not there or id >= run.manifest.ids(the_case, shard).start + run.view.length(the_case, shard):
        raise RunError(
            f"id {id} of case {the_case.name!r} is in shard {shard}, which is not computed yet",
            where=run.path,
            remedy="give the run's command again to resume it",
        )
    found = _rows(run, "trajectories", the_case, shard, id)
    if not found and run.manifest.rows == "exceptions":
        return Shown(the_case, _integrated(run, the_case, id, the_case.settings), None, kept=False)
    if len(found) != 1:
        raise RunError(
            f"{layout.part('trajectories', the_case.key, shard)} has {len(found)} rows of id {id}",
            where=run.path,
            remedy=parquet.RECOMPUTE,
        )
    every = run.manifest.visits_every
    watched = every > 0 and id % every == 0
    visits = _rows(run, "visits", the_case, shard, id) if watched else None
    layer = run.view.layer_of(the_case, shard, id)
    if layer is None:
        return Shown(the_case, found[0], visits)
    extended = the_case.changed(settings=replace(the_case.settings, budget=layer.budget))
    return Shown(extended, found[0], visits, layer=layer.number)


def one_case(run: Run, name: str | None) -> Case:
    """The case with this key or name, which may be None if the run has one case. Raises ArgumentError otherwise."""
    cases = run.manifest.cases
    if name is not None:
        return run.case(name)
    if len(cases) > 1:
        raise ArgumentError(
            f"{len(cases)} cases, and ids count from 0 in each",
            where=run.path,
            remedy=f"give --case {' or '.join(repr(one.name) for one in cases[:6])}{' or ...' * (len(cases) > 6)}",
        )
    return cases[0]


def _rows(run: Run, kind: layout.Kind, case: Case, shard: int, id: int) -> list[Row]:
    table = run.view.part(kind, case, shard, where=pc.field("id") == id)
    found: list[Row] = (with_passages(case.problem, table) if kind == "visits" else table).to_pylist()
    return found


# --- the explanation -------------------------------------------------------------------------------------------------


def why(case: Case, row: Row) -> str:
    """Why the row got its verdict, and, if it is censored, how it could be decided."""
    problem, t = case.problem, f"{row['t']:.6g}"
    loss, margin = _figures(row["loss"], 6), _figures(row["margin"], 3)
    if row["verdict"] == "censored":
        reason = _WHY[Reason(REASONS.index(row["reason"]))].format(t=t, loss=loss, **_of_case(case, row))
        return f"Censored: {reason} To decide it, {remedy_of(row['reason'], case.law.null)}."
    if row["certificate"] == "level":
        return (
            f"Minimum, proved at t = {t} of the computed state: its loss {loss} is below 1/2 sigma_min^2 = "
            f"{0.5 * problem.sigma_min**2:.6g}, the least that a saddle can have, by a relative margin of {margin} "
            f"(delta = {case.settings.delta:g} is required). The loss only falls, so only global minima are left "
            "(theory.md 3a)."
        )
    if row["certificate"] == "rate":
        return (
            "Minimum, proved at t = 0: the invariants C_j keep the gradient from vanishing, and ||E|| falls at least "
            f"like exp(-{margin} t) (theory.md 3b). Nothing had to be integrated."
        )
    if row["certificate"] == "rank":
        return (
            "Minimum, proved at t = 0: the inertia of its invariants C_j excludes every stratum of a rank below "
            f"d_y = {problem.d_y} (theory.md 3c, 3d). Nothing had to be integrated."
        )
    if row["certificate"] == "trap":
        return (
            f"Minimum, proved at step {t} of the computed state: gradient descent stays in a ball about it and "
            f"converges there to a global minimum; eta Lam / 2 is {margin} below 1 on the ball (theory.md 8)."
        )
    stratum = _stratum(case, row)
    if row["certificate"] == "invariant":
        S = mask_to_modes(row["modes"])
        unfitted = modes_text([i for i in range(problem.d_y) if i not in S])
        return (
            f"Saddle {stratum}, proved: in W_1 the columns and in W_{problem.H + 1} the rows of modes {unfitted} are "
            "zero bitwise and the flow keeps them so; on the other modes the loss is below the level of their own "
            f"minimum, by a relative margin of {margin} (theory.md 6.7). Such starts fill no volume."
        )
    return (
        f"Saddle {stratum}, by evidence, not by proof: it settled there (at a distance of {margin} ||W||), stayed "
        f"{PATIENCE} times as long as the least positive double needs to leave by the slowest way out, and did so "
        "again at tolerances 10 and 100 times tighter. Check the label: --reintegrate."
    )


def proof_text(proof: Row) -> str:
    """The result of the proof of a start, or the reason why there is none."""
    at = f"at t = {proof['t']:.6g}" if proof["t"] is not None else "at its start"
    if proof["proved"]:
        error, margin, growth = (_figures(proof[name], 3) for name in ("error", "margin", "growth"))
        return (
            f"Proved: the exact flow from this start goes to a global minimum. {at[0].upper()}{at[1:]} it is within "
            f"{error} of the computed state, and less than {margin} is required (tier {proof['tier']}, "
            f"{proof['steps']:,} steps, errors grow by less than exp({growth}); docs/proofs.md). Label error: none."
        )
    error = "" if proof["error"] is None else f" with an error of at most {_figures(proof['error'], 3)}"
    return (
        f"Not proved: {proof['reason']}, {at}{error} (tier {proof['tier']}, {proof['steps']:,} steps; docs/proofs.md). "
        "It counts as a saddle in the bound that rests on proofs."
    )


_WHY = {
    Reason.evaluation_budget: "its {budget} evaluations were spent at t = {t}, with loss {loss}.",
    Reason.step_underflow: "at t = {t}, with loss {loss}, its step became too small for the last digit of t.",
    Reason.non_finite: "at t = {t} the state, the loss or the gradient was not finite: the start is too large.",
    Reason.settled: (
        "at t = {t}, with loss {loss}, it rests beside a saddle{stratum}, and nothing shows that it stays: the part of "
        "the state that would carry it away may be any positive number."
    ),
    Reason.t_end: "it was stopped at t_end = {t_end}, with loss {loss}, as requested.",
    Reason.rounding: (
        "at t = {t} its loss {loss} is below the loss level, but the layers are so large that rounding of the loss "
        "could hide the difference."
    ),
}


def _of_case(case: Case, row: Row) -> dict[str, str]:
    """Further fields of the sentences about censored rows."""
    stratum = "" if row["modes"] is None else f" ({_stratum(case, row)})"
    return {"budget": f"{case.settings.budget:,}", "t_end": f"{case.settings.t_end:g}", "stratum": stratum}


def _figures(value: float | None, figures: int) -> str:
    return "not finite" if value is None else f"{value:.{figures}g}"


def _stratum(case: Case, row: Row) -> str:
    stratum = case.problem.strata().of(int(row["modes"]))
    return stratum_text(stratum.index, stratum.modes)


# --- again -----------------------------------------------------------------------------------------------------------


def reintegrate(run: Run, shown: Shown) -> tuple[Reintegration, Reintegration | None]:
    """The trajectory integrated again with the case's settings, and with tolerances 100 times tighter (None if they are
    beyond double precision). With the package versions of the run, the first equals the stored row bit for bit."""
    settings = shown.case.settings
    first = _again(run, shown, settings)
    tighter = settings.tighter(TIGHTER)
    return first, None if tighter is None else _again(run, shown, tighter)


def _again(run: Run, shown: Shown, settings: Settings) -> Reintegration:
    row = _integrated(run, shown.case, int(shown.row["id"]), settings)
    return Reintegration(settings, row, tuple(name for name, value in row.items() if value != shown.row[name]))


def _integrated(run: Run, case: Case, id: int, settings: Settings) -> Row:
    start = laws.starts(case.problem, case.law, run.manifest.seed, id // BLOCK)[id % BLOCK : id % BLOCK + 1]
    limits = integrate_batch(case.problem, start, settings, np.zeros(1, dtype=bool), case.law.null)
    row: Row = rows.tables_of(Tables.of(case.problem), id, limits).trajectories.to_pylist()[0]
    return row


def compared(shown: Shown, first: Reintegration, second: Reintegration | None) -> list[str]:
    """The result of each re-integration compared with the stored row, one sentence each."""
    case, row = shown.case, shown.row
    if not first.differs:
        said = "every number of the row is the same, bit for bit."
    elif first.same_limit(row):
        said = f"the same limit; {', '.join(first.differs)} differ, by another CPU or other package versions."
    else:
        said = (
            f"ANOTHER LIMIT, {_limit(case, first.row)}, where the row has {_limit(case, row)}: the row is damaged, or "
            "was made by other package versions."
        )
    if second is None:
        tighter = f"not possible, rtol would be below 100 eps = {SMALLEST_TOLERANCE:.3g}."
    elif second.same_limit(row):
        tighter = "the same limit."
    elif "censored" in (row["verdict"], second.row["verdict"]):
        tighter = f"{_limit(case, second.row)}."
    else:
        tighter = (
            f"ANOTHER LIMIT, {_limit(case, second.row)}: this row's label is an error of the tolerance. Tighten "
            "engine.rtol and engine.atol, and run again into another --out."
        )
    return [f"Integrated again: {said}", f"At tolerances {TIGHTER} times tighter: {tighter}"]


def _limit(case: Case, row: Row) -> str:
    if row["verdict"] == "censored":
        return f"censored ({row['reason']})"
    return f"{row['verdict']} {_stratum(case, row)}"
