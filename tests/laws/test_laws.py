"""Laws draw from the stated distributions, and an id is always the same point, bit for bit."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import special, stats

from basins import Problem, integrate
from basins.errors import ArgumentError
from basins.laws import (
    BLOCK,
    LAWS,
    Balanced,
    Gaussian,
    He,
    Law,
    Lecun,
    NearPlanted,
    Planted,
    Uniform,
    Xavier,
    law_of,
    starts,
    stream_key,
)
from basins.random.normals import CHUNK, logarithm, normals
from basins.random.philox import centred_uniforms

U = 2.0**-53
ALL = [
    Gaussian(0.5),
    Uniform(0.3),
    Lecun(),
    He(),
    Xavier(),
    Balanced(0.7),
    Planted((1,), 0.5),
    NearPlanted((1,), 1e-3, 0.5),
]


@pytest.fixture
def problem() -> Problem:
    return Problem.from_spectrum([3.0, 2.0, 1.0], d_x=5, hidden=(4, 6))


@pytest.fixture
def raw_problem() -> Problem:
    X, Y = np.random.default_rng(1).standard_normal((2, 20, 3))
    return Problem.from_data(X, Y[:, :2], hidden=(3,), flow="raw")


# --- bits to numbers ------------------------------------------------------------------------------------------


def test_uniforms_are_centred_exact_and_inside_the_interval() -> None:
    q = centred_uniforms(1, 2, 3, 100_000)
    k = (q + 0.5) * 2.0**53
    assert np.abs(q).max() < 0.5
    assert 0.0 not in q
    # q = (k + 1/2) 2^-53 - 1/2 exactly: 2^54 q is an odd whole number.
    odd = q * 2.0**54
    assert np.array_equal(odd, np.rint(odd))
    assert (odd.astype(np.int64) % 2 == 1).all()
    assert k.min() >= 0


def test_ends_of_the_uniforms_give_finite_normals() -> None:
    last = 0.5 - 2.0**-54
    z = normals(np.array([-last, last, -(2.0**-54), 2.0**-54]))
    assert z[1] == -z[0] == pytest.approx(8.2923611, rel=1e-7)
    assert z[3] == -z[2] == pytest.approx(2.0**-54 * np.sqrt(2 * np.pi), rel=1e-14)


def test_logarithm() -> None:
    x = np.concatenate([np.geomspace(2.0**-54, 0.5, 100_001), np.exp2(-np.arange(1, 55))])
    # Two roundings of the result's size, and libm's own.
    assert np.abs(logarithm(x) / np.log(x) - 1).max() <= 4 * U


def test_normals_against_scipy() -> None:
    """p = 1/2 - |q| is exact, so scipy gets the same number; symmetry covers both tails."""
    q = centred_uniforms(1, 2, 3, 200_000)
    deep = 0.5 - np.ldexp(2 * np.arange(500) + 1.0, -54)  # the last 500 numbers of the tail
    tail = 0.5 - np.ldexp(np.floor(np.ldexp(np.geomspace(1e-15, 0.08, 5000), 54)), -54)
    for sample in (q, deep, tail):
        expected = special.ndtri(0.5 - np.abs(sample))
        assert np.abs(normals(-np.abs(sample)) / expected - 1).max() < 1e-14
        assert np.array_equal(normals(-sample), -normals(sample))


def test_normals_do_not_depend_on_the_chunk() -> None:
    q = centred_uniforms(5, 6, 7, 2 * CHUNK + 3)
    z = normals(q)
    assert np.array_equal(z[CHUNK - 5 : CHUNK + 9], normals(q[CHUNK - 5 : CHUNK + 9]))
    assert np.array_equal(z[:-1].reshape(2, -1), normals(q[:-1].reshape(2, -1)))


GOLDEN_NORMALS = "2c9a9fa32e308a54ff0c1c7d5a5a7400"


def test_golden_bits() -> None:
    """The stream must never change: other hashes would mean that every id of every run is another start."""

    def sha(values: np.ndarray) -> str:
        return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:32]

    q = centred_uniforms(1, 2, 3, 10_000)
    assert q[0].hex() == "-0x1.bf0950918df9dp-2"
    assert sha(q) == "874bb35c4bad23382a96bc0322b0e7b2"
    assert sha(normals(q)) == GOLDEN_NORMALS
    assert sha(logarithm(0.5 - np.abs(q))) == "bbd50164b6ace2eef3a0a4f0d69eae6e"


GOLDEN_STARTS = {
    "gaussian": "00c958e72add4487cf64d687e01cf6ea",
    "uniform": "96fe1e3c72f9da0db092c4d69d75b660",
    "lecun": "079317b6628287343a6b5099e36d2ad2",
    "he": "16e8ee570cb854e13c52cb07ba7b29c3",
    "xavier": "08634484c5e9952be1422abe47544d93",
    "balanced": "4c0166fb9189b40427b87cc9b0cb90bf",
    "planted": "7087a3b806cdf0cdc4b78ff86150118b",
    "near_planted": "46c19c02a1848ca5fe2093c1f9f97bfa",
}


@pytest.mark.parametrize("law", ALL, ids=lambda law: law.name)
def test_golden_starts(problem: Problem, law: Law) -> None:
    W = starts(problem, law, seed=7, block=3)
    digest = hashlib.sha256(W.astype("<f8").tobytes()).hexdigest()[:32]
    assert digest == GOLDEN_STARTS[law.name]


NO_FEATURES = """
import hashlib
from basins.random.normals import normals
from basins.random.philox import centred_uniforms
print(hashlib.sha256(normals(centred_uniforms(1, 2, 3, 10_000)).astype("<f8").tobytes()).hexdigest()[:32])
"""


def test_bits_do_not_depend_on_the_cpu() -> None:
    """The golden bits are the same with numpy's and glibc's AVX and FMA paths switched off, as on a plain x86-64."""
    known = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    environment = {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": " ".join(known),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4",
    }
    ran = subprocess.run(
        [sys.executable, "-c", NO_FEATURES], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == GOLDEN_NORMALS


def philox(key: tuple[int, int], counter: list[int]) -> list[int]:
    """Philox4x64-10 in Python integers (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011)."""
    k0, k1 = key
    a, b, c, d = counter
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * a, 1 << 64)
        high1, low1 = divmod(0xCA5A826395121157 * c, 1 << 64)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % (1 << 64), (k1 + 0xBB67AE8584CAA73B) % (1 << 64)
    return [a, b, c, d]


def test_the_stream_is_philox_as_published() -> None:
    """It is written out here so that other implementations (a compiled kernel) can be compared with it."""
    seed, stream, block = 2**64 - 1, 0x0123456789ABCDEF, 12
    words = [word for number in (1, 2, 3) for word in philox((seed, stream), [number, 0, 0, block])]
    expected = [((word >> 11) - 2**52 + 0.5) * 2.0**-53 for word in words]
    assert centred_uniforms(seed, stream, block, 12).tolist() == expected


# --- streams --------------------------------------------------------------------------------------------------


def test_seed_case_and_block_have_separate_words() -> None:
    """Adding one to the seed does not give the next block or case: 27 neighbours share no number and are
    uncorrelated."""
    count = 4000
    streams = np.array([centred_uniforms(s, c, b, count) for s in (1, 2, 3) for c in (1, 2, 3) for b in (1, 2, 3)])
    assert len(np.unique(streams)) == streams.size
    correlation = np.corrcoef(streams)[np.triu_indices(len(streams), 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(count)
    assert np.sqrt(np.mean(correlation**2)) == pytest.approx(1 / np.sqrt(count), rel=0.15)


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1])
def test_every_bit_of_a_word_matters(word: int) -> None:
    base = centred_uniforms(0, 0, 0, 4)
    for key in ((word, 0, 0), (0, word, 0), (0, 0, word)):
        assert np.array_equal(centred_uniforms(*key, 4), base) == (word == 0)


def test_a_partial_block_is_a_prefix(problem: Problem) -> None:
    for law in ALL:
        q = centred_uniforms(1, 2, 3, 40 * law.draws(problem)).reshape(40, -1)
        whole = law.sample(problem, q)
        for count in (1, 7):
            assert np.array_equal(law.sample(problem, q[:count]), whole[:count]), law


def test_the_stream_key_depends_on_problem_and_law(problem: Problem) -> None:
    keys = [stream_key(problem, law) for law in ALL]
    keys.append(stream_key(problem, Gaussian(0.25)))
    keys.append(stream_key(Problem.from_spectrum([3.0, 2.0, 1.0], d_x=5, hidden=(4, 5)), Gaussian(0.5)))
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)
    # One spelling a law: a scale a layer that is the same in each is that scale.
    assert stream_key(problem, Gaussian((0.5, 0.5, 0.5))) == stream_key(problem, Gaussian(0.5))
    assert stream_key(problem, Gaussian((0.5, 0.5, 1.0))) != stream_key(problem, Gaussian(0.5))


def test_blocks_and_seeds_differ(problem: Problem) -> None:
    law = Gaussian(0.5)
    drawn = [starts(problem, law, seed, block) for seed, block in ((1, 0), (1, 1), (2, 0))]
    assert all(W.shape == (BLOCK, problem.n) for W in drawn)
    assert len(np.unique(np.concatenate(drawn))) == 3 * BLOCK * problem.n
    assert np.array_equal(drawn[0], starts(problem, law, np.int64(1), 0))  # type: ignore[arg-type]


@pytest.mark.parametrize(("seed", "block"), [(-1, 0), (2**64, 0), (0, -1), (1.0, 0), (True, 0), (0, 2**64)])
def test_seed_and_block_must_fit_a_word(problem: Problem, seed: int, block: int) -> None:
    with pytest.raises(ArgumentError, match=r"whole number from 0 to 2\^64 - 1"):
        starts(problem, Gaussian(0.5), seed, block)


# --- the laws -------------------------------------------------------------------------------------------------


def test_laws_with_a_density_have_the_stated_distribution(problem: Problem) -> None:
    """K-S test of each layer's 20,000 and more entries against the law, at p = 1e-4 with a fixed seed."""
    for law in (Gaussian((0.5, 1.0, 1.5)), Uniform(0.3), Lecun(), He(), Xavier()):
        assert not law.null
        for j, W_j in enumerate(problem.unpack(starts(problem, law, 1, 0)), start=1):
            d, before = problem.widths[j], problem.widths[j - 1]
            scale = {
                "gaussian": (0.5, 1.0, 1.5)[j - 1],
                "lecun": before**-0.5,
                "he": (2 / before) ** 0.5,
                "xavier": (2 / (before + d)) ** 0.5,
            }.get(law.name)
            expected = stats.uniform(-0.3, 0.6) if scale is None else stats.norm(0, scale)
            assert stats.kstest(W_j.ravel(), expected.cdf).pvalue > 1e-4, (law, j)


def test_balanced_starts_are_balanced_up_to_rounding(problem: Problem, raw_problem: Problem) -> None:
    law = Balanced(0.7)
    assert law.null
    for one in (problem, raw_problem):
        W = starts(one, law, 1, 0)
        norm = np.linalg.norm(W, axis=1)
        largest = np.max([np.linalg.norm(C, axis=(1, 2)) for C in one.invariants(W)], axis=0)
        assert (largest <= 20 * U * norm**2).all()
        assert (np.linalg.matrix_rank(one.unpack(W)[0]) == min(one.widths)).all()


def test_balanced_frames_are_uniform() -> None:
    """A Haar vector's first component: for d = 3 uniform in [-1, 1] (Archimedes). r = 1, so W_1 = s u_1 u_0^T."""
    problem = Problem.from_spectrum([1.0], d_x=3, hidden=(3,))
    W_1, W_2 = problem.unpack(starts(problem, Balanced(), 1, 0))
    assert stats.kstest(W_2[:, 0, 0] / np.linalg.norm(W_2, axis=(1, 2)), stats.uniform(-1, 2).cdf).pvalue > 1e-4
    s = np.linalg.norm(W_1, axis=(1, 2))
    assert stats.kstest(s, stats.halfnorm.cdf).pvalue > 1e-4
    right = W_1[:, 0] / np.linalg.norm(W_1[:, 0], axis=1)[:, None]
    assert stats.kstest(right[:, 1], stats.uniform(-1, 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("modes", [(), (0,), (2,), (0, 2), (1, 2)])
def test_planted_zeros_are_exact_and_stay_zero(problem: Problem, modes: tuple[int, ...]) -> None:
    law = Planted(modes, scale=(0.5, 1.0, 1.5))
    assert law.null
    W = starts(problem, law, 1, 0)
    unfitted = [i for i in range(3) if i not in modes]
    zero = np.zeros(problem.n, dtype=bool)
    layers = problem.unpack(zero.astype(float))
    layers[0][:, unfitted] = 1.0
    layers[-1][unfitted, :] = 1.0
    zero = problem.pack(layers) == 1.0
    assert (W[:, zero].view(np.uint64) == 0).all()
    assert (W[:, ~zero] != 0).all()
    gradient = problem.gradient(W)
    assert (gradient[:, zero] == 0).all()
    # Elsewhere it is the Gaussian law.
    rest = W[:, ~zero] / np.repeat((0.5, 1.0, 1.5), [20, 24, 18])[~zero]
    assert stats.kstest(rest.ravel(), stats.norm.cdf).pvalue > 1e-4


def test_planted_is_refused_if_the_zeros_would_not_stay(problem: Problem, raw_problem: Problem) -> None:
    with pytest.raises(ArgumentError, match="raw flow: X X\\^T mixes"):
        starts(raw_problem, Planted((0,)), 1, 0)
    with pytest.raises(ArgumentError, match="not a saddle"):
        starts(problem, Planted((0, 1, 2)), 1, 0)
    with pytest.raises(ArgumentError, match=r"modes: mode 3 is not among 0\.\.2"):
        starts(problem, Planted((0, 3)), 1, 0)


@pytest.mark.parametrize("modes", [(), (0,), (0, 2)])
def test_near_planted_is_at_the_stated_distance_and_has_a_density(problem: Problem, modes: tuple[int, ...]) -> None:
    law = NearPlanted(modes, distance=1e-3, scale=(0.5, 1.0, 1.5))
    assert not law.null
    W = starts(problem, law, 1, 0)
    planted = Planted(modes, scale=law.scale).sample(problem, centred_uniforms(1, 2, 0, problem.n)[None])[0] == 0
    k = planted.sum()
    assert k == (3 - len(modes)) * (4 + 6)
    off = np.linalg.norm(W[:, planted], axis=1)
    # off^2 / (distance^2 / k) is chi square with k degrees of freedom: in mean square it is the distance.
    assert stats.kstest(k * (off / 1e-3) ** 2, stats.chi2(k).cdf).pvalue > 1e-4
    rest = W[:, ~planted] / np.repeat((0.5, 1.0, 1.5), [20, 24, 18])[~planted]
    assert stats.kstest(rest.ravel(), stats.norm.cdf).pvalue > 1e-4
    assert (W != 0).all()
    assert np.linalg.matrix_rank(W) == problem.n  # no subspace holds them


def test_starts_nearer_to_planted_stay_longer_beside_the_saddle() -> None:
    """Every start ends at a minimum, later by log(1/distance) over the rate at which the saddle is left."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    time = []
    for distance in (1e-2, 1e-5, 1e-8):
        limits = integrate(problem, starts(problem, NearPlanted((0,), distance), 1, 0)[:40], rtol=1e-6, atol=1e-12)
        assert (limits.verdict == 0).all()
        time.append(np.median(limits.time))
    assert (np.diff(time) > 1).all()


def test_near_planted_is_refused_like_planted(problem: Problem, raw_problem: Problem) -> None:
    with pytest.raises(ArgumentError, match="raw flow: X X\\^T mixes"):
        starts(raw_problem, NearPlanted((0,), 0.1), 1, 0)
    with pytest.raises(ArgumentError, match="not a saddle"):
        starts(problem, NearPlanted((0, 1, 2), 0.1), 1, 0)
    with pytest.raises(ArgumentError, match=r"modes: mode 3 is not among 0\.\.2"):
        starts(problem, NearPlanted((0, 3), 0.1), 1, 0)
    with pytest.raises(ArgumentError, match=r"scale\(s\) for 3 layers"):
        starts(problem, NearPlanted((0,), 0.1, (1.0,)), 1, 0)


def test_null_laws_are_flagged() -> None:
    assert {name for name, law in LAWS.items() if law.null} == {"balanced", "planted"}


# --- names and parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [*ALL, Gaussian((0.1, 0.2)), Planted((2, 0))], ids=str)
def test_a_law_is_restored_from_its_name_and_parameters(law: Law) -> None:
    again = law_of(law.name, **law.parameters())
    assert again == law
    assert hash(again) == hash(law)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("gausian", {"scale": 1.0}, "name: unknown law 'gausian'; did you mean 'gaussian'?"),
        ("normal", {}, "name: unknown law 'normal'; choose one of gaussian, uniform"),
        (["gaussian"], {}, "unknown law"),
        ("gaussian", {}, "scale: law 'gaussian' needs scale"),
        ("gaussian", {"scal": 1.0}, "no parameter 'scal'; did you mean 'scale'?"),
        ("lecun", {"scale": 1.0}, "no parameter 'scale'; it has no parameters"),
        ("gaussian", {"scale": 10**400}, "scale: scale = 1000000"),
        ("gaussian", {"scale": 0}, "scale: scale = 0; give a scale above zero"),
        ("gaussian", {"scale": -0.5}, "scale = -0.5"),
        ("gaussian", {"scale": float("nan")}, "scale = nan"),
        ("gaussian", {"scale": float("inf")}, "scale = inf"),
        ("gaussian", {"scale": "big"}, "scale = 'big'"),
        ("gaussian", {"scale": True}, "scale = True"),
        ("gaussian", {"scale": [0.5, 0.0]}, "scale = 0.0"),
        ("uniform", {"box": 0.0}, "box: box = 0.0"),
        ("balanced", {"scale": [1.0, 1.0]}, r"scale = \[1.0, 1.0\]"),
        ("planted", {}, "modes: law 'planted' needs modes"),
        ("planted", {"modes": [0, 0]}, r"modes = \[0, 0\]"),
        ("planted", {"modes": [-1]}, r"modes = \[-1\]"),
        ("planted", {"modes": 0}, "modes = 0"),
        ("planted", {"modes": [0.5]}, r"modes = \[0.5\]"),
        ("near_planted", {"modes": [0]}, "distance: law 'near_planted' needs distance"),
        ("near_planted", {"modes": [0], "distance": 0.0}, "distance = 0.0; give a distance above zero"),
    ],
)
def test_invalid_laws_are_refused(name: str, parameters: dict, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        law_of(name, **parameters)


@pytest.mark.parametrize("law", [Gaussian((0.5, 0.5)), Gaussian(()), Planted((0,), (1.0,) * 4)], ids=str)
def test_a_law_takes_one_scale_or_one_per_layer(problem: Problem, law: Law) -> None:
    with pytest.raises(ArgumentError, match=r"scale\(s\) for 3 layers; give one scale, or 3"):
        starts(problem, law, 1, 0)
