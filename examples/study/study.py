"""The study: six experiments, their runs, and what they show as small tables.

    python examples/study/study.py                       # all of it; what is done already is not done again
    python examples/study/study.py --only iris           # one of them
    python examples/study/study.py --at-most 2000        # a look: so many trajectories a case, into runs of their own
    python examples/study/study.py --tables              # the tables alone, of what is there

Runs go to runs/study/NAME, and what ended at its evaluation budget is extended once, to ten times as much. results/
beside this file holds cases.csv (one row a case), controls.csv (the planted cases), pairs.csv (random pairs: both
levels), totals.csv (one row an experiment), and survival-NAME.png.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import tomli_w

from basins import open_run
from basins.cli import INTERRUPTED
from basins.errors import RunError
from basins.estimate import CaseEstimate, Estimate
from basins.estimate.sentences import widths_text
from basins.execution.run import extend, run
from basins.experiment import Experiment, load
from basins.output.figures import encoded
from basins.output.figures.survival import Line, survival
from basins.progress import progress
from basins.run_tables import Run
from basins.store.schemas import LOG2_T_LOW
from basins.summary import summarise
from basins.summary.survival import Survival
from basins.summary.survival import survival as survival_of

HERE = Path(__file__).parent
NAMES = ("iris", "wine", "linnerud", "digits", "pairs-3333", "pairs-2222")


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/study"), show_default=True)
@click.option("--only", type=click.Choice(NAMES), multiple=True, help="These experiments.")
@click.option("--on", default="ray", show_default=True, help="Execution backend: ray, processes or inline.")
@click.option("--at-most", type=click.IntRange(min=1), help="So many trajectories a case.")
@click.option("--tables", is_flag=True, help="No run: the tables of what is there.")
@click.option("--results", type=click.Path(path_type=Path), default=HERE / "results", help="Where the tables go.")
def main(out: Path, only: tuple[str, ...], on: str, at_most: int | None, tables: bool, results: Path) -> None:
    chosen = [name for name in NAMES if not only or name in only]
    try:
        for name in [] if tables else chosen:
            click.echo(f"{name}:", err=True)
            carry_out(experiment(name, at_most), out / name, on)
    except KeyboardInterrupt:
        click.echo(f"interrupted: what is done is kept in {out}, and the same command goes on from there", err=True)
        sys.exit(INTERRUPTED)
    runs = list(opened(out, chosen))
    write(runs, results)
    for name, found in runs:
        (results / f"survival-{name}.png").write_bytes(encoded(survival(curves(found)), "png"))
    click.echo(f"tables: {results}")


def carry_out(experiment: Experiment, path: Path, on: str) -> None:
    """Run it, and extend what ended at its budget to ten times as much."""
    done = run(experiment, path, on=on, listeners=[progress()])
    spent = sum(case.reasons.get("evaluation budget", 0) for case in done.estimate().cases)
    if spent:
        click.echo(f"{spent:,} ended at their evaluation budget: extended", err=True)
        extend(path, 10 * max(case.settings.budget for case in experiment.cases), on=on, listeners=[progress()])


def experiment(name: str, at_most: int | None = None) -> Experiment:
    """One of the experiments, with at most so many trajectories a case."""
    path = HERE / f"{name}.toml"
    if at_most is None:
        return load(path)
    document = tomllib.loads(path.read_text())
    for part in (document, *document["case"]):
        if "trajectories" in part:
            part["trajectories"] = min(part["trajectories"], at_most)
    return Experiment.from_toml(tomli_w.dumps(document), HERE)


def opened(out: Path, names: list[str]) -> Iterator[tuple[str, Run]]:
    """The runs that are there."""
    for name in names:
        try:
            yield name, open_run(out / name)
        except RunError as error:
            click.echo(f"{name}: {error.what}", err=True)


# --- tables -----------------------------------------------------------------------------------------------------------


def write(runs: list[tuple[str, Run]], results: Path) -> None:
    """The four tables of these runs."""
    estimates = [(name, found, found.estimate()) for name, found in runs]
    results.mkdir(parents=True, exist_ok=True)
    cases = [row for name, found, estimate in estimates for row in case_rows(name, found, estimate)]
    tables: dict[str, list[dict[str, Any]]] = {
        "cases": [row for row in cases if row["modes_planted"] == ""],
        "controls": [row for row in cases if row["modes_planted"] != ""],
        "pairs": [row for name, _, estimate in estimates for row in pair_rows(name, estimate)],
        "totals": [total_row(name, estimate) for name, _, estimate in estimates],
    }
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(results / f"{name}.csv", index=False, float_format="%.6g")


def case_rows(name: str, found: Run, estimate: Estimate) -> Iterator[dict[str, Any]]:
    """A row a case."""
    for one in estimate.cases:
        case = found.case(one.case)
        blocks = found.blocks(one.case, contiguous=True)
        bins = [k for log2_t in blocks["log2_t"] for k in log2_t.nonzero()[0]]
        yield {
            "experiment": name,
            "case": one.name,
            "H": one.H,
            "widths": widths_text(one.widths),
            "sigma_max": case.problem.sigma[0],
            "sigma_min": case.problem.sigma[-1],
            "law": one.law,
            "modes_planted": "" if one.planted is None else " ".join(map(str, one.planted)),
            "can_test": one.can_test,
            **counts(one),
            "upper_95": one.saddle_measure.upper,
            "evaluations": blocks["evaluations"].sum() / max(one.trajectories, 1),
            "all_stopped_by": 2.0 ** (LOG2_T_LOW + max(bins)) if bins else 0.0,
            "worst_drift": blocks["worst_drift"].max(),
        }


def counts(one: CaseEstimate) -> dict[str, int]:
    return {
        "trajectories": one.trajectories,
        "minimum": one.minimum,
        "saddle": one.saddle,
        "censored": one.censored,
    }


def pair_rows(name: str, estimate: Estimate) -> Iterator[dict[str, Any]]:
    """A row a law of data: the level of the pairs."""
    for pairs in estimate.pooled.pairs:
        yield {
            "experiment": name,
            "data": pairs.data,
            "pairs": pairs.pairs,
            "with_saddle": pairs.with_saddle,
            "with_censored": pairs.with_censored,
            "trajectories_a_pair": pairs.trajectories,
            "eps": pairs.eps,
            "bad_pairs_upper_95": pairs.share.upper,
        }


def total_row(name: str, estimate: Estimate) -> dict[str, Any]:
    """A row an experiment: its pool, and how its controls did."""
    pooled, controls = estimate.pooled, [one for one in estimate.cases if one.planted is not None]
    return {
        "experiment": name,
        "cases": len(pooled.cases),
        "trajectories": pooled.trajectories,
        "minimum": pooled.minimum,
        "saddle": pooled.saddle,
        "censored": pooled.censored,
        "mixture_upper_95": pooled.saddle_measure.upper,
        "controls": len(controls),
        "control_starts": sum(one.trajectories for one in controls),
        "control_saddles": sum(one.saddle for one in controls),
    }


# --- figures ----------------------------------------------------------------------------------------------------------


def curves(found: Run) -> list[Line]:
    """S(t) of the mixture of the cases of one depth and scale, a line each; of random pairs, of all pairs."""
    groups: dict[tuple[int, str], list[Survival]] = {}
    for one in found.manifest.cases:
        if not one.law.null:
            key = (one.problem.H, f"{one.law.parameters()['scale']:g}")
            groups.setdefault(key, []).append(survival_of(summarise(found, one.key)))
    middle = sorted({scale for _, scale in groups}, key=float)[len({scale for _, scale in groups}) // 2]
    chosen = {key: curves for key, curves in groups.items() if len({H for H, _ in groups}) == 1 or key[1] == middle}
    return [Line(f"H = {H}, scale {scale}", pooled(curves)) for (H, scale), curves in chosen.items()]


def pooled(curves: list[Survival]) -> Survival:
    """Of cases together: counts are added."""
    return Survival(
        t=curves[0].t,
        alive=np.sum([curve.alive for curve in curves], axis=0),
        N=sum(curve.N for curve in curves),
        never=sum(curve.never for curve in curves),
        at_start=None,
        first_censored=min(curve.first_censored for curve in curves),
    )


if __name__ == "__main__":
    main()
