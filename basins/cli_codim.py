"""The command line's codim: the codimension of a stable manifold, counted. cli.py's neighbour."""

from __future__ import annotations

import json
from pathlib import Path

import click

from basins.cli import EXPERIMENT, command


@command
@EXPERIMENT
@click.option("--stratum", "j", type=int, required=True, metavar="J", help="I(J), by falling loss from 1.")
@click.option("--case", metavar="KEY|NAME", help="Its case; may be left out where there is one.")
@click.option("--samples", type=int, default=4000, show_default=True, help="Points on each rung of a ladder.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32), default=0, show_default=True, help="Of what is drawn.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True, max=1e3),
    default=0.5,
    show_default=True,
    help="Of the planted start.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, every number in full.")
def codim(experiment: Path, j: int, case: str | None, samples: int, seed: int, scale: float, as_json: bool) -> None:
    """The codimension of the stable manifold of I(J) in EXPERIMENT's problem, counted.

    Around a point planted on it, the share of an eps-ball that stays scales like eps^-m_u: m_u and the sum of the
    unstable rates, with intervals, beside the formula (one hidden layer) and the Hessian's negative eigenvalues. The
    law plays no part.
    """
    from basins.codim_page import print_codimension
    from basins.errors import ArgumentError
    from basins.packed import opened
    from basins.rare.codim import codimension_of
    from basins.screen import console

    loaded = opened(experiment)
    if case is None and len(loaded.cases) > 1:
        names = ", ".join(repr(one.name) for one in loaded.cases)
        raise ArgumentError(f"{len(loaded.cases)} cases", where="case", remedy=f"give --case, one of {names}")
    chosen = loaded.cases[0] if case is None else loaded.case(case)
    found = codimension_of(chosen.problem, j, seed=seed, samples=samples, scale=scale)
    if as_json:
        click.echo(json.dumps({"case": chosen.name, **found.to_dict()}, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_codimension(console(), chosen.name, found)
