"""The commands verify and plan."""

from __future__ import annotations

from pathlib import Path

import click

from basins.cli.common import ADDRESS, DEADLINE, RUN, UNEXPECTED, WORKERS, command, line, print_json
from basins.cli.proving import PROVE_ON, prove_starts


def _rows(context: click.Context, option: click.Parameter, value: str | None) -> int | str | None:
    """A number of rows, or "all"."""
    if value is None or value == "all":
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither a number of rows nor 'all'")
    return int(value)


@command
@RUN
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="Number of rows whose label is checked.",
)
@click.option(
    "--blocks",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Number of blocks that are computed again.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random rows and blocks."
)
@click.option("--repair", is_flag=True, help="Set damage aside, so that the next `basins run` computes it again.")
@click.option(
    "--prove",
    callback=_rows,
    metavar="N|all",
    help="First prove where N random starts, or all existing ones, flow. The next five options need --prove.",
)
@click.option("--case", metavar="KEY|PART", help="Prove only starts of this case.")
@PROVE_ON
@WORKERS
@ADDRESS
@DEADLINE
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all findings.")
def verify(
    run: str,
    sample: int,
    blocks: int,
    seed: int,
    repair: bool,
    prove: int | str | None,
    case: str | None,
    on: str | None,
    workers: int | None,
    address: str | None,
    deadline: float | None,
    as_json: bool,
) -> int:
    """Check that a run is intact and that its labels are right.

    The command checks every byte, computes random blocks again, and integrates random rows of every verdict again by
    another solver, at tolerances 100 times tighter. The outcomes are kept in the run, for `basins estimate`. With
    --prove it follows the exact flow in rigorous arithmetic to a proof that it goes to a global minimum. Proofs are
    kept in the run, row by row, and the same command resumes after an interruption. The exit status is 2 if the run is
    damaged and 1 if a row labelled saddle is proved to go to a minimum. A label that disagrees is not damage.
    """
    from basins.output.console.screen import console
    from basins.output.console.verify import contradictions, print_verification, refusal
    from basins.progress import Steps
    from basins.store import files_at, read_manifest
    from basins.verify import verify as check

    given = {"--case": case, "--on": on, "--workers": workers, "--address": address, "--deadline": deadline}
    if prove is None and (others := [name for name, value in given.items() if value is not None]):
        raise click.UsageError(f"{others[0]} needs --prove")
    if prove is not None:
        prove_starts(run, prove, case, seed, on or "auto", workers, address, deadline)
    with Steps() as step:
        found = check(run, sample=sample, blocks=blocks, seed=seed, repair_damage=repair, step=step)
    manifest = read_manifest(files_at(run))
    if as_json:
        print_json(found.to_dict())
    else:
        print_verification(console(), manifest, found)
    refused = refusal(found)
    if refused is not None:
        raise refused
    wrong = [] if found.proofs is None else contradictions(manifest, found.proofs)
    if wrong:
        line(f"error: {wrong[0]}{f'; and {len(wrong) - 1} more' * (len(wrong) > 1)}")
        return UNEXPECTED
    return 0


@command
@click.argument("experiment", type=click.Path(path_type=Path), required=False)
@click.option("--bound", type=float, required=True, help="The bound on the saddle basins' measure, such as 1e-6.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence of the bound.")
@click.option("--saddles", type=click.IntRange(min=0), default=0, show_default=True, help="Expected number of saddles.")
@click.option(
    "--censored-share", type=float, default=0.0, show_default=True, help="Expected share of censored trajectories."
)
@click.option("--share", type=float, help="The bound on the share of bad pairs (X, Y), such as 0.05.")
@WORKERS
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all digits.")
def plan(
    experiment: Path | None,
    bound: float,
    level: float,
    saddles: int,
    censored_share: float,
    share: float | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Compute how many trajectories, checked labels and random pairs a bound needs.

    With an EXPERIMENT, also estimate the cost from rates that are measured now.
    """
    from basins import planning
    from basins.execution.base import cores
    from basins.experiment import load
    from basins.output.console.planning import print_needed
    from basins.output.console.screen import console

    found = planning.needed(bound, level, saddles, censored_share, share)
    measured = () if experiment is None else planning.costs(load(experiment))
    if as_json:
        print_json(found.to_dict() | {"costs": [cost.to_dict() for cost in measured]})
    else:
        print_needed(console(), found, measured, workers or cores())
