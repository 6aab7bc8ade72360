"""Runs that grow: small ones with every kind of row, and what is compared of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from basins.experiment import Experiment

TEXT = """
name = "growing"
seed = 5
blocks_per_shard = {blocks_per_shard}
visits_every = 7
rows = "{rows}"

[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2

[network]
hidden = [2, 2]

[engine]
budget = 170

[[case]]
name = "wide"
trajectories = {wide}
law = {{ name = "gaussian", scale = 0.4 }}

[[case]]
name = "control"
trajectories = {control}
law = {{ name = "planted", modes = [0], scale = 0.5 }}
"""
"""Minima, rows whose budget was spent, saddles."""

NARROW = """
[[case]]
name = "narrow"
trajectories = 40
law = { name = "gaussian", scale = 1.0 }
"""


def growing(
    wide: int, control: int = 50, rows: str = "all", blocks_per_shard: int = 1, more: str = "", seed: int = 5
) -> Experiment:
    text = TEXT.format(wide=wide, control=control, rows=rows, blocks_per_shard=blocks_per_shard) + more
    return Experiment.from_toml(text.replace("seed = 5", f"seed = {seed}"), Path())


def but_for_growth(files: dict[str, bytes]) -> dict[str, Any]:
    """The files of a run, the manifest without its history."""
    manifest = json.loads(files["manifest.json"])
    manifest.pop("grown", None)
    return {**files, "manifest.json": manifest}
