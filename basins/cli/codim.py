"""The command codim, which measures the codimension of a stable manifold by counting."""

from __future__ import annotations

from pathlib import Path

import click

from basins.cli.common import EXPERIMENT, ONE_CASE, command, print_json


@command
@EXPERIMENT
@click.option(
    "--stratum", "j", type=int, required=True, metavar="J", help="Index J of the stratum I(J); 1 has the largest loss."
)
@ONE_CASE
@click.option("--samples", type=int, default=4000, show_default=True, help="Number of points drawn at each eps.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32), default=0, show_default=True, help="Seed of the points.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True, max=1e3),
    default=0.5,
    show_default=True,
    help="Scale of the planted start.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all digits.")
def codim(experiment: Path, j: int, case: str | None, samples: int, seed: int, scale: float, as_json: bool) -> None:
    """Count the directions that leave a stratum of saddles.

    This is the codimension m_u of the stable manifold of I(J) in EXPERIMENT's problem. Around a point planted on that
    manifold, the share of an eps-ball that stays scales like eps^-m_u. The command prints m_u and the sum of the
    unstable rates, with intervals, beside the formula (one hidden layer) and the Hessian's negative eigenvalues. The
    experiment's law is not used.
    """
    from basins.errors import ArgumentError
    from basins.experiment.packed import opened
    from basins.output.console.codim import print_codimension
    from basins.output.console.screen import console
    from basins.rare.codim import codimension_of

    loaded = opened(experiment)
    if case is None and len(loaded.cases) > 1:
        names = ", ".join(repr(one.name) for one in loaded.cases)
        raise ArgumentError(f"{len(loaded.cases)} cases", where="case", remedy=f"give --case, one of {names}")
    chosen = loaded.cases[0] if case is None else loaded.case(case)
    found = codimension_of(chosen.problem, j, seed=seed, samples=samples, scale=scale)
    if as_json:
        print_json({"case": chosen.name, **found.to_dict()})
    else:
        print_codimension(console(), chosen.name, found)
