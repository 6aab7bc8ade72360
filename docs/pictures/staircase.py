"""Draw docs/pictures/staircase.png: the loss along flows of examples/iris.toml, between the critical values.

python docs/pictures/staircase.py        (needs matplotlib: the extra `report`)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from basins.experiment import load
from basins.laws import Gaussian, starts
from basins.output.figures import encoded
from basins.output.figures.staircase import Flows, staircase
from basins.trajectories import losses

HERE = Path(__file__).parent


def main() -> None:
    experiment = load(HERE.parents[1] / "examples" / "iris.toml")
    free, control = experiment.cases
    problem = free.problem
    t = np.concatenate([[0.0], np.geomspace(1e-3, 30, 400)])

    def flows(label, law, count, exact_zeros=False):
        found = losses(problem, starts(problem, law, experiment.seed, 0)[:count], t, free.settings, exact_zeros)
        return Flows(label, t, found)

    # Small starts pass the saddles closely, so the steps are easy to see.
    figure = staircase(
        problem,
        [
            flows("Gaussian starts, scale 0.1", Gaussian(0.1), 12),
            flows("planted on I(4): the control", control.law, 3, exact_zeros=True),
        ],
    )
    figure.set_size_inches(8, 4.2)
    (HERE / "staircase.png").write_bytes(encoded(figure, "png"))


if __name__ == "__main__":
    main()
