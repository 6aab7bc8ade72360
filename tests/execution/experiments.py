"""Runs that cost almost nothing: one weight per layer and a budget of one evaluation, so every row stops at its
start."""

from __future__ import annotations

from pathlib import Path

from basins.experiment import Experiment

TINY = """
name = "tiny"
seed = {seed}
blocks_per_shard = {blocks_per_shard}
visits_every = 100

[data]
source = "spectrum"
sigma = [{sigma}]
d_x = 1

[network]
hidden = [1]

[engine]
name = "reference"
budget = 1

[[case]]
name = "gaussian"
trajectories = {trajectories}
law = {{ name = "gaussian", scale = 0.5 }}

[[case]]
name = "planted"
trajectories = 2000
law = {{ name = "planted", modes = [], scale = 0.5 }}
"""
"""With the defaults there are nine shards: seven of the first case, the last of them short, and two of a control."""


def tiny(*, seed: int = 7, trajectories: int = 6500, blocks_per_shard: int = 1, sigma: float = 1.0) -> Experiment:
    text = TINY.format(seed=seed, trajectories=trajectories, blocks_per_shard=blocks_per_shard, sigma=sigma)
    return Experiment.from_toml(text, Path())


PROVABLE = """
name = "to prove"
seed = 5
blocks_per_shard = 1
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2] }
engine = { budget = 40 }
[[case]]
name = "gaussian"
trajectories = 2100
law = { name = "gaussian", scale = 0.7 }
[[case]]
name = "control"
trajectories = 20
law = { name = "planted", modes = [0], scale = 0.5 }
"""
"""Three shards whose starts can be proved, and one of a control."""


def provable() -> Experiment:
    return Experiment.from_toml(PROVABLE, Path())


def data_files(run: Path) -> dict[str, bytes]:
    """Every file of a run whose bytes are reproducible: all but telemetry."""
    files = sorted(path for path in run.rglob("*") if path.is_file())
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in files
        if "telemetry" not in path.relative_to(run).parts
    }
