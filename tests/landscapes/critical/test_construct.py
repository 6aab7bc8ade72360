"""Constructed critical points are exact, have the kind that was asked for, and cover every rank pattern."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from points import KINDS, ONE_HIDDEN_LAYER, SHAPES, point, problem_of, raw_problem

from basins.errors import ArgumentError, AssumptionError
from basins.landscapes.deep_linear.critical import Kind, classify, construct, inertia
from basins.landscapes.deep_linear.critical.construct import random_segments
from basins.landscapes.deep_linear.critical.ranks import (
    Cycle,
    both_paths,
    covers,
    pairs_of_layers,
    paper_layers,
    segments,
)

EXPECTED = {"strict": Kind.STRICT, "nonstrict": Kind.NONSTRICT, "minimum": Kind.MINIMUM}


def agree(widths: tuple[int, ...], kind: str, seed: int) -> None:
    """The point is exact; the block-rank test says what was constructed; the dense Hessian says so too."""
    problem, modes, W = point(widths, kind, seed)
    found = classify(problem, W, hessian=False)
    assert found.relative_residual < 1e-13
    assert found.moved <= 1e-13 * found.scale
    assert found.modes == modes
    assert found.kind is EXPECTED[kind], (widths, kind, seed, found.why, found.undecided)
    curvature = inertia(problem, found.state)
    assert (curvature.negative > 0) == (kind == "strict"), (widths, kind, seed, found.why, curvature)  # type: ignore[operator]
    # Not by a hair: the smallest eigenvalue that counts is far from the largest that does not.
    assert curvature.gap > 100, (widths, kind, seed, curvature)  # type: ignore[operator]


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_ranks_and_hessian_agree_on_constructed_points(widths: tuple[int, ...]) -> None:
    for seed in range(36):
        agree(widths, KINDS[seed % 3], seed)


@pytest.mark.slow
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_ranks_and_hessian_agree_on_ten_thousand(widths: tuple[int, ...]) -> None:
    for seed in range(1000, 2251):  # 1,251 points in each of 8 shapes: 10,008
        agree(widths, KINDS[seed % 3], seed)


@pytest.mark.parametrize("widths", ONE_HIDDEN_LAYER, ids=str)
def test_one_hidden_layer_has_strict_saddles_and_minima_only(widths: tuple[int, ...]) -> None:
    for seed in range(8):
        for kind in ("strict", "minimum"):
            agree(widths, kind, seed)
    with pytest.raises(AssumptionError, match="Proposition 5"):
        construct(problem_of(widths), (), "nonstrict", seed=0)


def test_the_papers_condition_alone_misses_strict_saddles() -> None:
    """r_Z > r (Prop. 4 iv) is one pair of layers, (H + 1, 1). A test with that pair only would fail the agreement."""
    missed = 0
    for seed in range(0, 60, 3):
        problem, modes, W = point((3, 3, 3, 3, 3), "strict", seed)
        if modes == tuple(range(len(modes))):
            found = classify(problem, W)
            assert (4, 1) in found.deciding or found.rank_Z == found.rank
            if found.rank_Z == found.rank:
                missed += 1
                assert found.inertia is not None
                assert found.inertia.negative
    assert missed >= 2


def test_a_too_lax_rule_is_detected() -> None:
    """If one tightened pair sufficed for a non-strict saddle, strict saddles would be called non-strict."""
    wrong = 0
    for seed in range(0, 60, 3):
        problem, modes, W = point((2, 3, 2, 2, 2), "strict", seed)
        if modes == tuple(range(len(modes))):
            wrong += any(pair.excess <= 1 for pair in classify(problem, W).pairs)
    assert wrong >= 2


def every_pattern(width: list[int]) -> set[frozenset[tuple[tuple[int, int], int]]]:
    """All multisets of segments of at most H nodes that fill these widths at the nodes 0..H, by brute force."""
    N = len(width)
    runs = [(start, length) for start in range(N) for length in range(1, N)]
    found = set()
    for counts in product(*(range(max(width) + 1) for _ in runs)):
        filled = [0] * N
        for (start, length), count in zip(runs, counts, strict=True):
            for k in range(length):
                filled[(start + k) % N] += count
        if filled == width:
            found.add(frozenset((run, c) for run, c in zip(runs, counts, strict=True) if c))
    return found


@pytest.mark.parametrize(("widths", "modes"), [((2, 2, 2, 2), (0,)), ((2, 2, 2, 2), ()), ((3, 3, 2, 2), (0,))])
def test_every_rank_pattern_occurs(widths: tuple[int, ...], modes: tuple[int, ...]) -> None:
    problem, r = problem_of(widths), len(modes)
    width = [problem.d_y - r, *(d - r for d in problem.hidden)]
    patterns = every_pattern(width)
    assert len(patterns) > 3
    rng = np.random.default_rng(0)
    for kind in ("strict", "nonstrict"):
        wanted = {p for p in patterns if bool(covers(dict(p), problem.H)) == (kind == "strict")}
        drawn = {frozenset(random_segments(problem, modes, kind, rng).items()) for _ in range(1500)}
        assert drawn == wanted


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_segments_and_ranks_are_equivalent(widths: tuple[int, ...]) -> None:
    """Segments are read back from numerical ranks, and two of them cover the cycle iff a pair is not tightened."""
    for seed in range(12):
        kind = KINDS[seed % 2]
        problem, modes, W = point(widths, kind, seed)
        rng = np.random.Generator(np.random.Philox(key=seed))
        planned = random_segments(problem, modes, kind, rng)
        cycle, r = Cycle(paper_layers(problem, W), problem.sigma), len(modes)
        ranks = cycle.ranks(1e-12)
        assert segments(cycle.nodes, r, ranks) == planned
        untightened = [
            pair
            for pair in pairs_of_layers(problem.H)
            if all(
                (ranks[path] if path.arrows else cycle.nodes[path.start]) > r for path in both_paths(*pair, problem.H)
            )
        ]
        assert untightened == covers(planned, problem.H)


@pytest.mark.parametrize("hidden", [(3,), (3, 2), (2, 3, 3)], ids=str)
def test_raw_flow(hidden: tuple[int, ...]) -> None:
    """In the raw flow points are exact in its own coordinates, and agree with the paper's by congruence."""
    problem = raw_problem(hidden)
    for kind, S in (("strict", (1,)), ("strict", (0,)), ("strict", ()), ("nonstrict", (0,)), ("minimum", (0, 1))):
        if problem.H == 1 and kind == "nonstrict":
            continue
        for seed in range(3):
            W = construct(problem, S, kind, seed=seed)
            found = classify(problem, W)
            assert found.relative_residual < 1e-13
            assert found.kind is EXPECTED[kind]
            assert found.inertia is not None
            assert (found.inertia.negative > 0) == (kind == "strict")  # type: ignore[operator]
            assert found.loss == pytest.approx(problem.strata().of(S).loss, rel=1e-12, abs=1e-20)


def test_same_seed_same_point() -> None:
    problem = problem_of((3, 3, 3, 3, 3))
    assert np.array_equal(construct(problem, (0,), seed=5), construct(problem, (0,), seed=5))
    assert not np.array_equal(construct(problem, (0,), seed=5), construct(problem, (0,), seed=6))


def test_impossible_requests_are_refused() -> None:
    problem = problem_of((3, 3, 3, 3))
    with pytest.raises(ArgumentError, match="leaves out mode 0"):
        construct(problem, (1,), "nonstrict", seed=0)
    with pytest.raises(ArgumentError, match="is a saddle"):
        construct(problem, (0, 1), "minimum", seed=0)
    with pytest.raises(ArgumentError, match="global minimum"):
        construct(problem, (0, 1, 2), "strict", seed=0)
    with pytest.raises(ArgumentError, match="unknown kind"):
        construct(problem, (0,), "saddle", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="modes"):
        construct(problem, (3,), "strict", seed=0)
