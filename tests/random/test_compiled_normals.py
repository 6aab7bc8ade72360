"""compiled_normals.py gives the same bits as philox.py and normals.py."""

from __future__ import annotations

import numpy as np
import pytest

from basins.random import compiled_normals, philox
from basins.random.normals import normals
from basins.random.philox import centred_uniforms


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """philox.py and normals.py without numba."""
    monkeypatch.setattr(philox, "compiled_functions", lambda: None)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int64), b.view(np.int64))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 1027, 49_152])
def test_uniforms(count: int) -> None:
    for seed, stream, block in ((0, 0, 0), (1, 2, 3), (2**64 - 1, 2**63 + 1, 2**64 - 1)):
        assert same_bits(
            compiled_normals.centred_uniforms(seed, stream, block, count), centred_uniforms(seed, stream, block, count)
        )


@pytest.mark.usefixtures("plain")
def test_normals() -> None:
    """A million numbers; both tails to the last number, the boundaries between the formulas, and an empty array."""
    last = 0.5 - np.ldexp(2 * np.arange(2000) + 1.0, -54)
    tail = 0.5 - np.ldexp(np.floor(np.ldexp(np.geomspace(1e-15, 0.08, 20_000), 54)), -54)
    seams = np.array([0.425, np.nextafter(0.425, 1), np.nextafter(0.425, 0), 2.0**-54, 0.5 - np.exp(-25.0)])
    for q in (centred_uniforms(1, 2, 3, 1_000_000), last, tail, seams, np.empty(0)):
        for signed in (q, -q):
            assert same_bits(compiled_normals.normals(signed), normals(signed))


def test_the_compiled_functions_are_used() -> None:
    assert philox.compiled_functions() is compiled_normals
    assert compiled_normals.normals(np.zeros((3, 5)) + 0.25).shape == (3, 5)
