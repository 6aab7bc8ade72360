"""The experiment of the runs: iris with two hidden layers and its control, in shards of half a second."""

from __future__ import annotations

import shutil
from pathlib import Path

from basins.experiment import Experiment, load
from chaos.processes import HERE

BLOCKS = 8
"""Blocks of 1,024 trajectories in a shard: half a second of one core."""

CONTROL = 2
"""Shards of the control, whose trajectories come to rest on a saddle."""

TEXT = """# Iris in small shards, to be disturbed.
name = "chaos"
seed = {seed}
blocks_per_shard = {blocks}
visits_every = 50

[data]
path = "iris.csv"
targets = ["species"]

[network]
hidden = [4, 4]

[law]
name = "gaussian"
scale = 0.5

[[case]]
name = "gaussian"
trajectories = {trajectories}

[[case]]
name = "control"
trajectories = {control}
law = {{ name = "planted", modes = [0], scale = 0.5 }}
"""


def lay_down(folder: Path, seed: int, shards: int) -> tuple[Path, Experiment]:
    """Write the experiment's file with this many shards, the last of each case a short one. Returns path,
    experiment."""
    shutil.copy(HERE.parent / "examples" / "iris.csv", folder)
    toml = folder / "experiment.toml"
    size = 1024 * BLOCKS
    trajectories, control = (shards - CONTROL) * size - 1500, CONTROL * size - size // 2 - 100
    toml.write_text(TEXT.format(seed=seed, blocks=BLOCKS, trajectories=trajectories, control=control))
    return toml, load(toml)
