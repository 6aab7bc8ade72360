"""T and the set {T > t} against the exact chain; and a law as a function of a standard normal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from basins import Problem, laws
from basins.errors import ArgumentError
from basins.integrators.base import Settings
from basins.landscapes.deep_linear import exact
from basins.landscapes.deep_linear.certificates import level
from basins.rare.certification_time import CertificationTime
from basins.rare.level_streams import Stream
from basins.rare.whitening import Whitening

CHAIN = Problem.from_spectrum([1.0], d_x=1, hidden=[1, 1])
NETWORK = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=[2, 2])


def chain_times(W: np.ndarray) -> np.ndarray:
    p = 1.0 - np.sqrt(2 * level(CHAIN, 1e-6))
    return np.array([0.0 if w.prod() > p else exact.scalar_chain_time(CHAIN, w, p) for w in W])


def test_starts_are_inside_until_they_pass_the_loss_level() -> None:
    W = 0.1 * np.random.default_rng(1).standard_normal((40, 3))
    T = chain_times(W)
    coordinate = CertificationTime(CHAIN, Settings())
    for t in (0.0, 5.0, 20.0):
        membership = coordinate.starts(W, t)
        clear = np.abs(T - t) > 1e-6 * t
        np.testing.assert_array_equal(membership.inside[clear], (t < T)[clear])
        assert 0 < membership.inside.sum() < len(W)
        assert not membership.undecided.any()


def test_the_computed_time_is_near_the_exact_time() -> None:
    W = 0.2 * np.random.default_rng(2).standard_normal((40, 3))
    T = chain_times(W)
    computed = CertificationTime(CHAIN, Settings()).starts(W, 1e4).value
    np.testing.assert_allclose(computed, T, rtol=0.2)
    assert (computed[T == 0] == 0).all()


def test_an_integration_in_two_parts_gives_the_same_set() -> None:
    W = np.random.default_rng(3).standard_normal((200, NETWORK.n))
    coordinate = CertificationTime(NETWORK, Settings())
    first, state = coordinate.carry(coordinate.carrier.begin(W), 0.0, 0.5)
    second, _ = coordinate.carry(state[first.inside], 0.5, 1.5)
    whole = coordinate.starts(W, 1.5)
    np.testing.assert_array_equal(np.flatnonzero(first.inside)[second.inside], np.flatnonzero(whole.inside))


def test_undecided_starts_count_as_inside() -> None:
    W = np.random.default_rng(4).standard_normal((20, NETWORK.n))
    membership = CertificationTime(NETWORK, Settings(budget=5)).starts(W, 100.0)
    assert membership.undecided.any()
    assert membership.inside[membership.undecided].all()


def test_a_wide_network_is_integrated_compressed() -> None:
    wide = Problem.from_spectrum([2.0, 1.0], d_x=12, hidden=[2, 2])
    W = np.random.default_rng(5).standard_normal((50, wide.n))
    small, full = (CertificationTime(wide, Settings(compress=compress)) for compress in (True, False))
    assert small.carrier.begin(W).shape[1] < wide.n
    np.testing.assert_array_equal(small.starts(W, 0.6).inside, full.starts(W, 0.6).inside)


@pytest.mark.parametrize(
    "law",
    [
        laws.Gaussian(0.5),
        laws.Gaussian((1.0, 2.0, 0.1)),
        laws.Lecun(),
        laws.He(),
        laws.Xavier(),
        laws.Uniform(2.0),
        laws.NearPlanted((0,), 1e-3),
    ],
)
def test_whitened_weights_have_the_law(law: laws.Law) -> None:
    W = Whitening(NETWORK, law).weights(Stream(1, 2, 3, 4).normals(4000, NETWORK.n))
    drawn = np.concatenate([laws.starts(NETWORK, law, 1, block) for block in range(4)])
    for i in range(NETWORK.n):
        assert stats.ks_2samp(W[:, i], drawn[:, i]).pvalue > 1e-4


@pytest.mark.parametrize("law", [laws.Planted((0,)), laws.Balanced()])
def test_a_law_without_a_density_is_refused_with_the_reason(law: laws.Law) -> None:
    with pytest.raises(ArgumentError, match="no density"):
        Whitening(NETWORK, law)


def test_a_compressed_draw_is_refused_with_the_remedy() -> None:
    wide = Problem.from_spectrum([2.0, 1.0], d_x=12, hidden=[2, 2])
    with pytest.raises(ArgumentError, match="omit draw"):
        Whitening(wide, laws.Gaussian(1.0, draw="compressed"))


def test_streams_differ_in_every_word_and_from_trajectories() -> None:
    base = (1, 2, 3, 4)
    others = [(2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5), (1, 2, 4, 3)]
    drawn = {tuple(Stream(*words).uniforms(4)) for words in (base, *others)}
    assert len(drawn) == len(others) + 1
    from basins.random.philox import centred_uniforms

    blocks = {float(q) + 0.5 for block in range(8) for q in centred_uniforms(1, 2, block, 64)}
    assert not blocks & set(Stream(1, 2, 3, 0).uniforms(64))


def test_uniforms_are_open_and_integers_in_range() -> None:
    stream = Stream(5, 6, 7, 8)
    u, k = stream.uniforms(100_000), stream.integers(3, 100_000)
    assert u.min() > 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert np.bincount(k).min() > 32_000
    assert k.max() == 2
    assert sorted(stream.permutation(50)) == list(range(50))
