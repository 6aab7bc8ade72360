"""What is proved: random starts, all of them; near a stable manifold, as near as the arithmetic reaches."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CHAIN, SHAPES, SQUARE, gaussian, planted, raw, spectrum

import basins
from basins import Problem, Verdict
from basins.proof import NO_CODE, TIERS, Proof, enclosures, largest_ball, prove


@pytest.mark.parametrize("name", SHAPES)
def test_random_starts_are_proved(name: str) -> None:
    problem = SHAPES[name]
    starts = gaussian(problem, 60, 11)
    found = prove(problem, starts)
    labels = basins.integrate(problem, starts).verdict
    assert (labels[found.proved] == Verdict.minimum).all()
    assert found.proved.all()


def test_what_a_proof_says_of_a_row() -> None:
    found = prove(SQUARE, gaussian(SQUARE, 200, 12))
    assert isinstance(found, Proof)
    assert len(found) == 200
    assert found.proved.all()
    assert (found.reason == NO_CODE).all()
    assert (found.error < found.margin).all()
    assert ((found.error > 0) == (found.steps > 0)).all()
    assert ((found.t > 0) == (found.steps > 0)).all()
    assert (found.growth >= 0).all()
    assert set(found.tier) <= set(range(len(TIERS)))
    assert (found.tier == 0).mean() > 0.9


def test_a_row_has_the_same_bytes_alone_and_in_a_batch() -> None:
    starts = np.concatenate([gaussian(SQUARE, 20, 13), planted(SQUARE, (0,), 2, 1), planted(SQUARE, (0,), 2, 1) + 1e-9])
    whole = prove(SQUARE, starts)
    for k in range(len(starts)):
        one = prove(SQUARE, starts[k])
        for name in ("proved", "reason", "t", "error", "margin", "growth", "steps", "tier"):
            assert getattr(one, name).tobytes() == getattr(whole, name)[k : k + 1].tobytes(), name


def test_a_chain_is_proved_as_near_to_its_tie_as_the_arithmetic_allows() -> None:
    """(.7 + d, -.7, 1.9) goes to the minimum for d > 0; at d = 0 to the saddle."""
    double, pairs = ("B", "C", "D"), TIERS
    for d in (1e-2, 1e-6, 1e-10, 1e-12, 1e-13):
        assert prove(CHAIN, [0.7 + d, -0.7, 1.9], tiers=double).proved.all(), d
    for d in (1e-14, 1e-15, 2e-16):
        assert not prove(CHAIN, [0.7 + d, -0.7, 1.9], tiers=double).proved.any(), d
        assert prove(CHAIN, [0.7 + d, -0.7, 1.9], tiers=pairs).proved.all(), d
    assert 0.7 + 2e-16 > 0.7
    assert prove(CHAIN, [0.7 - 1e-10, -0.7, 1.9]).proved.all(), "on the other side the first weight turns"
    assert not prove(CHAIN, [0.7, -0.7, 1.9]).proved.any()


def test_planted_starts_are_proved_as_soon_as_they_are_moved() -> None:
    """S = {0} of (2,2,2,2): Cholesky in double precision reaches 1e-8 for most, pairs reach 1e-12 for all."""
    rng = np.random.default_rng(3)
    start, direction = planted(SQUARE, (0,), 20, 3), rng.normal(size=(20, SQUARE.n))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    counts = {d: int(prove(SQUARE, start + d * direction, tiers="D").proved.sum()) for d in (1e-4, 1e-6, 1e-8, 1e-10)}
    assert counts[1e-4] >= 19
    assert counts[1e-6] >= 18
    assert counts[1e-8] >= 14
    assert counts[1e-10] <= 12
    for d in (1e-8, 1e-12):
        assert prove(SQUARE, start + d * direction, tiers="E").proved.sum() == 20
    assert prove(SQUARE, start, tiers="E").proved.sum() == 0


def test_small_layers_are_proved_in_pairs() -> None:
    """Scale 1e-3: two passages of non-strict saddles."""
    starts = gaussian(SQUARE, 3, 5, scale=1e-3)
    found = prove(SQUARE, starts)
    assert found.proved.all()
    assert (basins.integrate(SQUARE, starts).verdict == Verdict.minimum).all()


def test_the_raw_flow_is_proved_with_its_gram_root() -> None:
    problem = raw(4, 2, 3, seed=2)
    starts = gaussian(problem, 40, 14)
    found = prove(problem, starts)
    assert found.proved.all()
    assert found.t.max() < 0.9 * basins.integrate(problem, starts).time.max() + 1


def test_a_ball_is_proved_with_its_start_and_a_larger_one_is_not() -> None:
    starts = gaussian(SQUARE, 6, 15)
    radii = largest_ball(SQUARE, starts)
    assert (radii > 1e-6).all()
    assert prove(SQUARE, starts, radii).proved.all()
    assert not prove(SQUARE, starts, 1.1 * radii).proved.any()
    assert not prove(SQUARE, starts, 2 * np.linalg.norm(starts, axis=1)).proved.any(), "0 is in it"
    assert largest_ball(SQUARE, planted(SQUARE, (0,), 1, 1)).tolist() == [0.0]


def test_a_start_below_the_level_is_proved_where_it_stands() -> None:
    layers = [np.eye(2), np.eye(2), np.diag([2.0, 1.0])]
    found = prove(SQUARE, SQUARE.pack(layers))
    assert (found.proved.all(), found.t[0], found.steps[0], found.error[0]) == (True, 0.0, 0, 0.0)
    radius = largest_ball(SQUARE, SQUARE.pack(layers))[0]
    assert 0.1 < radius < 1.0


def test_no_row_is_proved_of_none() -> None:
    found = prove(SQUARE, np.empty((0, SQUARE.n)))
    assert len(found) == 0
    assert len(largest_ball(SQUARE, np.empty((0, SQUARE.n)))) == 0


def test_the_level_itself_is_not_below_the_level() -> None:
    """||E|| = sigma_min (1 - 5e-7) is within delta of the level: it has to go on from there."""
    layers = [np.eye(2), np.eye(2), np.diag([2.0, 1.0])]
    layers[2][1, 1] = 5e-7
    found = prove(SQUARE, SQUARE.pack(layers))
    assert found.proved.all()
    assert found.steps[0] > 0


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_proved_ball_holds_minima_alone(count: int) -> None:
    """By sampling on and in balls, and by the tangent's worst direction elsewhere (test_enclosures.py)."""
    rng = np.random.default_rng(16)
    for problem in (SQUARE, SHAPES["4443"]):
        starts = gaussian(problem, 4, 16)
        radii = largest_ball(problem, starts)
        direction = rng.normal(size=(count // 4, 4, problem.n))
        direction /= np.linalg.norm(direction, axis=2)[..., None]
        sphere = (starts + 0.999999 * radii[:, None] * direction).reshape(-1, problem.n)
        assert (basins.integrate(problem, sphere).verdict == Verdict.minimum).all()


def test_a_proved_ball_contracts_onto_starts_beside_the_manifold() -> None:
    """The largest ball about a start at distance d from a planted one is smaller than d, and not by much."""
    start = planted(SQUARE, (0,), 1, 8)[0]
    for d in (1e-2, 1e-4):
        moved = start.copy()
        moved[[1, 3]] += d / 2
        moved[[10, 11]] += d / 2
        radius = largest_ball(SQUARE, moved)[0]
        assert 1e-4 * d < radius < d


def test_wide_shapes_go_without_cholesky() -> None:
    problem = spectrum([2.0, 1.0], 24, 16, 3)
    found = prove(problem, gaussian(problem, 4, 17, scale=0.3))
    assert found.proved.all()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_every_one_of_many_random_starts_is_proved(scale: float) -> None:
    iris = spectrum([5.0, 2.0, 0.9], 5, 4, 4)
    assert prove(SQUARE, gaussian(SQUARE, 5000, 18, scale)).proved.all()
    assert prove(iris, gaussian(iris, 2000, 19, scale)).proved.all()


def test_enclosures_give_the_path_of_the_proof() -> None:
    start = gaussian(SQUARE, 1, 20)[0]
    path, proof = enclosures(SQUARE, start), prove(SQUARE, start, tiers="B")
    assert path.proof.t.tobytes() == proof.t.tobytes()
    assert len(path.h) == proof.steps[0] + 1
    assert path.error[-1] == proof.error[0]
    assert np.array_equal(path.W[0], start)
    assert (path.h[1:] > 0).all()
    assert (np.diff(path.error) > 0).all()


def test_problems_from_data_are_proved() -> None:
    rng = np.random.default_rng(21)
    problem = Problem.from_data(rng.normal(size=(150, 5)), rng.normal(size=(150, 3)), hidden=(4, 4))
    assert basins.prove(problem, gaussian(problem, 30, 21)).proved.all()
