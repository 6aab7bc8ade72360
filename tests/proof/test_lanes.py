"""Rows carried side by side have the bits that each has alone (basins/proof/carry_lanes.py)."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SHAPES, SQUARE, gaussian, planted, spectrum

from basins import Problem
from basins.codegen.vectors import LANES, zeros
from basins.proof.carry import carry
from basins.proof.carry_lanes import STATE, carry_lanes
from basins.proof.constants import constants_of
from basins.proof.labels import tier_of
from basins.proof.memory import Ended, Knots, ended_for, work_for, work_in_lanes
from basins.proof.shape import shape_of
from basins.proof.steps import ERROR, NON_FINITE, PROVED, SIZE, STEP_SIZE, STEPS, Tier


def alone(problem: Problem, starts: np.ndarray, radius: np.ndarray, tier: Tier) -> Ended:
    """One row after the other, by numbers of floats."""
    shape, ended, n = shape_of(problem.enclosure()), ended_for(len(starts)), problem.n
    none = Knots(np.empty(0), np.empty((0, n)), np.empty((0, n)), np.empty(0))
    rows = np.arange(len(starts))
    carry(
        shape, constants_of(problem.enclosure()), tier, *work_for(shape, tier), starts, radius, rows, ended, none, None
    )
    return ended


def side_by_side(problem: Problem, starts: np.ndarray, radius: np.ndarray, tier: Tier, rows: np.ndarray) -> Ended:
    shape, ended = shape_of(problem.enclosure()), ended_for(len(starts))
    memory = (*work_in_lanes(shape, tier), zeros(3 * shape.m + 1), zeros(STATE))
    carry_lanes(shape, constants_of(problem.enclosure()), tier, *memory, starts, radius, rows, ended)
    return ended


def same(one: Ended, other: Ended, rows: np.ndarray) -> None:
    for name, a, b in zip(Ended._fields, one, other, strict=True):
        assert a[rows].tobytes() == b[rows].tobytes(), name


@pytest.mark.parametrize("tier", ["B", "C"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_row_in_a_lane_has_the_bits_it_has_alone(name: str, tier: str) -> None:
    """Among them rows that fail, each for its reason, and a number of rows that does not fill the lanes."""
    problem, settings = SHAPES[name], tier_of(tier, SHAPES[name].n)._replace(most_steps=25)
    starts = np.concatenate([gaussian(problem, 2 * LANES + 3, 40), gaussian(problem, 3, 41, 1e-3)])
    starts[1, 0], starts[4] = np.nan, 0.0
    starts[6] = 1e12
    radius = np.where(np.arange(len(starts)) % 4 == 3, 1e-6, 0.0)
    rows = np.arange(len(starts))
    expected = alone(problem, starts, radius, settings)
    same(side_by_side(problem, starts, radius, settings, rows), expected, rows)
    assert {PROVED, SIZE, NON_FINITE} < set(expected.code)


def test_rows_that_fail_leave_their_lane_to_the_next() -> None:
    """Starts on a stable manifold among random ones, in an order of their own; others are not touched."""
    settings = tier_of("B", SQUARE.n)
    starts = gaussian(SQUARE, 60, 42)
    starts[::7] = planted(SQUARE, (0,), len(starts[::7]), 43)
    radius, rows = np.zeros(60), np.random.default_rng(44).permutation(60)[:45]
    expected = alone(SQUARE, starts, radius, settings)
    found = side_by_side(SQUARE, starts, radius, settings, rows)
    same(found, expected, rows)
    others = np.setdiff1d(np.arange(60), rows)
    assert (found.code[others] == ended_for(1).code[0]).all()
    assert {PROVED, STEP_SIZE} <= set(expected.code)


@pytest.mark.parametrize("count", [0, 1, LANES - 1, LANES, LANES + 1])
def test_any_number_of_rows_ends(count: int) -> None:
    """The last rows of all fail here, at a step and at a knot: nothing is left to take their place."""
    starts, settings = planted(SQUARE, (0,), count, 45), tier_of("B", SQUARE.n)
    rows, radius = np.arange(count), np.zeros(count)
    found = side_by_side(SQUARE, starts, radius, settings, rows)
    same(found, alone(SQUARE, starts, radius, settings), rows)
    assert set(found.code) <= {ERROR, STEPS, STEP_SIZE}


@pytest.mark.slow
def test_many_rows_of_wider_shapes_have_the_bits_they_have_alone() -> None:
    for problem, count in ((SQUARE, 3000), (spectrum([7.0, 6.9, 2.8], 4, 4, 4), 1000), (SHAPES["raw 3322"], 1000),
                           (spectrum([4.0, 3.0, 2.0, 1.0], 8, 8, 8, 8), 20)):  # fmt: skip
        starts, rows = gaussian(problem, count, 46), np.arange(count)
        for tier in ("B", "C"):
            settings = tier_of(tier, problem.n)
            expected = alone(problem, starts, np.zeros(count), settings)
            same(side_by_side(problem, starts, np.zeros(count), settings, rows), expected, rows)
