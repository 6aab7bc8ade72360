"""Partial products: names, ranks, and the dimension that a rank pattern gives its critical points."""

from __future__ import annotations

import numpy as np
import pytest
from points import KINDS, ONE_HIDDEN_LAYER, SHAPES, point

from basins import Problem
from basins.landscapes.deep_linear.critical import Path, classify, inertia
from basins.landscapes.deep_linear.critical.polish import _derivative, _equations
from basins.landscapes.deep_linear.critical.ranks import (
    Cycle,
    both_paths,
    codimension,
    outer_name,
    paper_layers,
    segments,
)
from basins.landscapes.deep_linear.strata import dimension


def test_names_are_those_of_the_theory() -> None:
    assert (both_paths(3, 1, 3)[0].name(3), outer_name(3, 1, 3)) == ("W_2", "Sigma_Y^T W_4")
    assert both_paths(4, 3, 3)[1].name(3) == "W_2 W_1"
    assert outer_name(4, 3, 3) == "W_2 W_1 Sigma_Y^T"
    assert Path(3, 3).name(3) == "W_2 W_1 Sigma_Y^T W_4"
    assert Path(2, 0).name(3) == "I"


def test_products_equal_the_explicit_ones() -> None:
    problem, _, W = point((4, 3, 4, 3, 3, 3), "strict", 0)
    layers, cycle = problem.unpack(W), Cycle(problem.unpack(W), problem.sigma)
    by_hand = layers[1] @ layers[0] @ problem.target.T @ layers[4] @ layers[3]
    assert np.allclose(cycle.matrix(Path(3, 4)), by_hand, rtol=1e-13)
    assert np.allclose(cycle.matrix(Path(0, 2)), (layers[1] @ layers[0])[:, :3], rtol=1e-13)


def test_tolerance_bounds_what_a_move_does_to_singular_values() -> None:
    """Weyl: never exceeded, and not vacuous (some move uses a tenth of it)."""
    used = 0.0
    for seed in range(20):
        problem, _, W = point((3, 3, 3, 3, 3), KINDS[seed % 2], seed)
        step = 1e-3 * np.random.default_rng(seed).standard_normal(problem.n)
        before, after = (Cycle(problem.unpack(V), problem.sigma) for V in (W, W + step))
        for path in before.paths():
            change = np.abs(
                np.linalg.svd(before.matrix(path), compute_uv=False)
                - np.linalg.svd(after.matrix(path), compute_uv=False)
            ).max()
            share = change / before.tolerance(path, float(np.linalg.norm(step)))
            assert share <= 1
            used = max(used, share)
    assert used > 0.1


@pytest.mark.parametrize("widths", ONE_HIDDEN_LAYER, ids=str)
def test_codimension_is_the_papers_for_one_hidden_layer(widths: tuple[int, ...]) -> None:
    d_x, d_1, d_y = widths
    n = d_1 * (d_x + d_y)
    for r in range(d_y + 1):
        trivial = {(0, 1): d_y - r, (1, 1): d_1 - r}
        pattern = {run: count for run, count in trivial.items() if count}
        assert n - codimension(widths, r, pattern) == dimension(widths, r)


def orbit_dimension(problem: Problem, modes: tuple[int, ...], W: np.ndarray) -> int:
    """Dimension of the directions in which a saddle stays critical, from changes of basis alone.

    Hidden nodes: X_l W_l - W_l X_{l-1}. Node 0: X on the unfitted inputs, Sigma^{-1} X Sigma on the unfitted outputs.
    Further inputs: W_{1,2} moves in the kernel of W_{H+1}...W_2.
    """
    layers, H = problem.unpack(W), problem.H
    unfitted = [i for i in range(problem.d_y) if i not in modes]
    directions = []
    for j in range(H):
        d = problem.hidden[j]
        for E in np.eye(d * d).reshape(-1, d, d):
            change = [np.zeros_like(W_l) for W_l in layers]
            change[j] = E @ layers[j]
            change[j + 1] = -layers[j + 1] @ E
            directions.append(problem.pack(change))
    m = len(unfitted)
    s = problem.sigma[unfitted]
    for E in np.eye(m * m).reshape(-1, m, m):
        change = [np.zeros_like(W_l) for W_l in layers]
        change[0][:, unfitted] = -layers[0][:, unfitted] @ E
        change[-1][unfitted] = (E * s[None, :] / s[:, None]) @ layers[-1][unfitted]
        directions.append(problem.pack(change))
    R = np.linalg.multi_dot(layers[:0:-1])
    _, _, right = np.linalg.svd(R)
    for v in right[len(modes) :]:
        for column in range(problem.d_y, problem.d_x):
            change = [np.zeros_like(W_l) for W_l in layers]
            change[0][:, column] = v
            directions.append(problem.pack(change))
    return int(np.linalg.matrix_rank(np.array(directions), tol=1e-9))


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_dimension_of_a_rank_pattern(widths: tuple[int, ...]) -> None:
    """The formula, the orbit of the changes of basis, and the kernel of the polishing equations are one number; the
    Hessian's kernel contains that many directions, sometimes more."""
    for seed in range(8):
        problem, modes, W = point(widths, KINDS[seed % 2], seed)
        found = classify(problem, W, hessian=False)
        assert found.dimension == orbit_dimension(problem, modes, W)
        cycle = Cycle(paper_layers(problem, W), problem.sigma)
        ranks = cycle.ranks(1e-12)
        assert segments(cycle.nodes, len(modes), ranks) == found.segments
        derivative = _derivative(cycle.layers, _equations(cycle, modes, ranks, found.scale))
        s = np.linalg.svd(derivative, compute_uv=False)
        codim = problem.n - found.dimension
        assert codim == 0 or s[codim - 1] > 1e-6 * s[0]
        assert codim >= len(s) or s[codim] < 1e-12 * max(s[0], 1)
        assert inertia(problem, W).zero >= found.dimension  # type: ignore[operator]
