"""Compressed factors drawn directly: the chi numbers, and the same law as full draws in all that is recorded."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import stats

from basins.classification.classify_batch import integrate_batch
from basins.errors import ArgumentError
from basins.integrators.base import Settings
from basins.landscapes.deep_linear.compression import Compression, chi
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import Gaussian, law_of, starts, stream_key
from basins.random import philox

SHAPES = [(9, 2, 2), (2, 9, 2), (12, 3, 3, 2), (8, 3, 9, 2)]


def problem_of(widths: tuple[int, ...]) -> Problem:
    return Problem.from_spectrum([2.0, 1.0], d_x=widths[0], hidden=widths[1:-1])


@pytest.mark.parametrize("nu", [1, 2, 7, 24, 25, 60, 774])
def test_chi_numbers_have_the_chi_distribution(nu: int) -> None:
    q = philox.centred_uniforms(7, 8, nu, 20_000 * chi.draws(nu)).reshape(20_000, -1)
    assert stats.kstest(chi.chi(q, nu), stats.chi(nu).cdf).pvalue > 1e-3


def test_wrong_degrees_of_freedom_are_detected() -> None:
    q = philox.centred_uniforms(7, 8, 60, 20_000 * chi.draws(60)).reshape(20_000, -1)
    assert stats.kstest(chi.chi(q, 60), stats.chi(61).cdf).pvalue < 1e-6


@pytest.mark.parametrize("widths", SHAPES)
def test_full_and_compressed_draws_have_the_same_law(widths: tuple[int, ...]) -> None:
    """Loss, gradient norm, invariants at the start; verdicts and times of a few at the end."""
    problem = problem_of(widths)
    scale = tuple(0.5 + 0.1 * j for j in range(len(widths) - 1))
    blocks = range(4)
    full, compressed = (
        np.concatenate([starts(problem, Gaussian(scale, draw), 5, block) for block in blocks])
        for draw in ("full", "compressed")
    )
    measures = [
        lambda W: problem.loss(W),
        lambda W: np.linalg.norm(problem.gradient(W), axis=1),
        *(
            lambda W, j=j, k=k: np.linalg.eigvalsh(problem.invariants(W)[j])[:, k]
            for j in range(problem.H)
            for k in (0, -1)
        ),
    ]
    for measure in measures:
        assert stats.ks_2samp(measure(full), measure(compressed)).pvalue > 1e-4
    every = np.zeros(1024, dtype=bool)
    ends = [integrate_batch(problem, W[:1024], Settings(), every) for W in (full, compressed)]
    assert all((end.verdict == 0).all() for end in ends)
    assert stats.ks_2samp(ends[0].time, ends[1].time).pvalue > 1e-4


@pytest.mark.parametrize("widths", SHAPES)
def test_compress_returns_the_drawn_factors(widths: tuple[int, ...]) -> None:
    problem = problem_of(widths)
    small = Compression.of(problem)
    W = starts(problem, Gaussian(0.5, "compressed"), 5, 0)
    np.testing.assert_array_equal(small.embed(small.compress(W)), W)


def test_fewer_numbers_are_drawn() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=784, hidden=(10, 10))
    assert Gaussian(0.5, "compressed").draws(problem) < problem.n / 8


def test_stream_is_separate_and_frozen() -> None:
    problem = problem_of((9, 2, 2))
    assert stream_key(problem, Gaussian(0.5)) == stream_key(problem, Gaussian(0.5, "full"))
    assert stream_key(problem, Gaussian(0.5)) != stream_key(problem, Gaussian(0.5, "compressed"))
    wide = Problem.from_spectrum([2.0, 1.0], d_x=60, hidden=(2,))
    digest = hashlib.sha256(starts(wide, Gaussian(0.5, "compressed"), 1, 2).tobytes()).hexdigest()
    assert digest[:16] == "f992173079c26d31"


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="draw = 'compresed'; did you mean 'compressed'"):
        law_of("gaussian", scale=0.5, draw="compresed")
    square = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    with pytest.raises(ArgumentError, match="nothing to compress; set draw"):
        Gaussian(0.5, "compressed").check(square)
