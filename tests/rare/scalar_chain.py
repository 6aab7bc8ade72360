"""Scalar chains, all widths 1, as a problem and as an experiment on disk."""

from __future__ import annotations

from pathlib import Path

from basins import Problem

CHAIN = """
name = "chain"
seed = 1
trajectories = 1000
data = {{ source = "spectrum", sigma = [1.0], d_x = 1 }}
network = {{ hidden = {hidden} }}
law = {law}
engine = {{ rtol = {rtol} }}
"""
GAUSSIAN = '{ name = "gaussian", scale = 1.0 }'


def chain(H: int, sigma: float = 1.0) -> Problem:
    return Problem.from_spectrum([sigma], d_x=1, hidden=[1] * H)


def written(folder: Path, H: int = 2, law: str = GAUSSIAN, rtol: float = 1e-8) -> Path:
    """An experiment on a chain."""
    path = folder / "chain.toml"
    path.write_text(CHAIN.format(hidden=[1] * H, law=law, rtol=rtol))
    return path
