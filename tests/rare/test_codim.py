"""`basins codim`: the counted codimension agrees with the formula, and strata without one are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import basins.rare.codim as room
from basins import Problem
from basins.cli import main
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.invariant_zeros import planted_zeros
from basins.rare.codim import codimension_of

# widths, spectrum: rates of one saddle differ at most threefold
FAST = [((2, 2, 2), (3.0, 1.5)), ((3, 3, 2), (2.0, 1.0))]
SLOW = [((3, 2, 2), (3.0, 1.5)), ((4, 6, 2), (2.0, 1.0)), ((3, 3, 3), (3.0, 2.0, 1.0)), ((4, 3, 3), (3.0, 2.0, 1.0))]
DEEP = [((2, 2, 2, 2), (2.0, 1.0)), ((3, 3, 2, 2), (2.0, 1.0))]


def problem_of(widths: tuple[int, ...], sigma: tuple[float, ...]) -> Problem:
    return Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:-1])


def agrees(problem: Problem, j: int, samples: int, seeds: int) -> tuple[int, int]:
    """Over all seeds, the number of intervals that miss the expected value, and the number of intervals; the nearest
    whole number is always right."""
    missed = told = 0
    for seed in range(seeds):
        found = codimension_of(problem, j, samples=samples, seed=seed)
        if problem.H == 1:
            assert found.theory == len(found.rates)  # theory.md 2 and the Hessian
        for one in found.counted:
            assert round(one.number.value) == len(found.rates)
            missed += (not one.number.holds(len(found.rates))) + (not one.rates.holds(sum(found.rates)))
            told += 2
    return missed, told


@pytest.mark.parametrize(("widths", "sigma"), FAST)
def test_the_count_for_one_hidden_layer_agrees_with_the_formula(
    widths: tuple[int, ...], sigma: tuple[float, ...]
) -> None:
    problem = problem_of(widths, sigma)
    for j in range(1, len(problem.strata())):
        assert agrees(problem, j, 2000, 1)[0] <= 1  # each interval misses once in eighty


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "sigma"), FAST + SLOW + DEEP)  # type: ignore[operator]
def test_every_stratum_of_many_shapes_agrees(widths: tuple[int, ...], sigma: tuple[float, ...]) -> None:
    problem = problem_of(widths, sigma)
    missed = told = 0
    for j in range(1, len(problem.strata())):
        more = agrees(problem, j, 4000, 5)
        missed, told = missed + more[0], told + more[1]
    assert missed <= 3 + told / 40  # expected told / 80


def test_the_share_agrees_with_plain_sampling() -> None:
    """Where the tube is not too thin, drawing in the whole ball gives the same share, so the volume of the ellipsoid is
    right."""
    problem = problem_of((2, 2, 2), (3.0, 1.5))
    found = codimension_of(problem, 3, samples=4000)  # m_u = 1
    one, rung = found.counted[0], found.counted[0].by_eps[0]
    stratum = problem.strata()[2]
    flow = room._Flow(problem, planted_zeros(problem, stratum.modes))
    flow.longest_step = 0.1
    rng = np.random.default_rng(1)
    n = one.dimensions
    tube = np.linalg.eigh(problem.hessian(found.base))[1][:, 0]  # the unstable direction
    u, s = room._ball(20_000, 1, rng), room._ball(20_000, n - 1, rng)
    others = np.linalg.svd(tube[None])[2][1:]
    into = tube[flow.planted] / np.linalg.norm(tube[flow.planted])
    stays = np.abs(flow.away(found.base + rung.eps * (u * tube + s @ others), rung.t) @ into) < found.delta
    share = float(np.exp(rung.log_share))
    assert 0.02 < share < 0.5
    assert abs(stays.mean() - share) < 4 * np.sqrt(share / 20_000 + share**2 / rung.stayed)


def test_a_too_small_ellipsoid_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of((2, 2, 2), (3.0, 1.5))
    monkeypatch.setattr(room, "WIDE", (0.5,))
    with pytest.raises(ArgumentError, match="fill more than the tubes"):
        codimension_of(problem, 1, samples=400)
    monkeypatch.setattr(room, "WIDE", (0.5, 1.25))
    assert round(codimension_of(problem, 1, samples=400).counted[0].number.value) == 4


def test_the_same_arguments_give_the_same_numbers() -> None:
    problem = problem_of((2, 2, 2), (3.0, 1.5))
    first, again, other = (codimension_of(problem, 2, samples=300, seed=seed).to_dict() for seed in (3, 3, 4))
    assert first == again != other


def experiment(folder: Path, data: str, hidden: str, flow: str = "reduced") -> str:
    path = folder / "one.toml"
    path.write_text(
        f'name = "one"\nseed = 1\ntrajectories = 10\n[data]\n{data}\n'
        f'[network]\nhidden = {hidden}\nflow = "{flow}"\n[law]\nname = "gaussian"\nscale = 1.0\n'
    )
    return str(path)


SPECTRUM = 'source = "spectrum"\nsigma = [3.0, 1.5]\nd_x = 2'


def test_the_codim_command(tmp_path: Path) -> None:
    path = experiment(tmp_path, SPECTRUM, "[2]")
    told = CliRunner().invoke(main, ["codim", path, "--stratum", "2", "--samples", "500"])
    assert told.exit_code == 0, told.output
    assert "2 (theory.md 2)" in told.output
    assert "Every interval contains the expected value" in " ".join(told.output.split())
    asked = ["codim", path, "--stratum", "2", "--samples", "500", "--json"]
    found = json.loads(CliRunner().invoke(main, asked).output)
    assert (found["case"], found["theory"], found["negative_eigenvalues"]) == ("one", 2, 2)
    assert found["counted"][0]["m_u"]["lower"] < 2 < found["counted"][0]["m_u"]["upper"]


def test_non_strict_strata_have_their_kappa() -> None:
    """theory.md 5, 2-2-2-2: 12 at rank 0 and 3 at rank 1; S = {2} has strict points alone, and so has H = 1."""
    deep = problem_of((2, 2, 2, 2), (2.0, 1.0))
    found = [codimension_of(deep, j, samples=300).kappa for j in (1, 2, 3)]
    assert found == [12.0, None, 3.0]
    assert codimension_of(problem_of((2, 2, 2), (3.0, 1.5)), 1, samples=300).kappa is None


@pytest.mark.parametrize(
    ("data", "hidden", "flow", "options", "said"),
    [
        (SPECTRUM, "[2]", "reduced", ["--stratum", "0"], "there is no I(0)"),
        (SPECTRUM, "[2]", "reduced", ["--stratum", "5"], "there is no I(5)"),
        (SPECTRUM, "[2]", "reduced", ["--stratum", "4"], "I(4) are the global minima"),
        (SPECTRUM, "[2]", "reduced", ["--stratum", "1", "--samples", "3"], "samples = 3"),
        (SPECTRUM, "[2]", "reduced", ["--stratum", "1", "--case", "two"], "no case 'two'"),
        (SPECTRUM.replace("1.5", "0.3"), "[2]", "reduced", ["--stratum", "1"], "below what double precision"),
        (
            f'source = "spectrum"\nsigma = {[float(s) for s in range(21, 0, -1)]}\nd_x = 21',
            "[21]",
            "reduced",
            ["--stratum", "1"],
            "are not put in order",
        ),
        (
            'source = "gaussian"\nsamples = 20\nd_x = 2\nd_y = 2',
            "[2]",
            "raw",
            ["--stratum", "1"],
            "no planted start stays in the raw flow",
        ),
    ],
)
def test_strata_without_a_countable_codimension_are_refused(
    tmp_path: Path, data: str, hidden: str, flow: str, options: list[str], said: str
) -> None:
    told = CliRunner().invoke(main, ["codim", experiment(tmp_path, data, hidden, flow), *options])
    assert told.exit_code == 2
    assert said in told.output
    assert len(told.output.strip().splitlines()) == 1
