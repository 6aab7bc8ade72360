"""A small experiment's text, to be changed."""

from pathlib import Path

from basins.experiment import Experiment

EXAMPLES = Path(__file__).parents[2] / "examples"


HEAD = """
name = "small"
seed = 1
trajectories = 10
"""


BASE = (
    HEAD
    + """
[data]
source = "spectrum"
sigma = [2, 1]
d_x = 3
[network]
hidden = [2, 2]
[law]
name = "gaussian"
scale = 0.5
"""
)


def experiment(text: str) -> Experiment:
    return Experiment.from_toml(text, EXAMPLES, "t.toml")
