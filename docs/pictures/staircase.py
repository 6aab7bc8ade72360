"""Draw docs/pictures/staircase.png: the loss along flows of examples/iris.toml, between the critical values.

python docs/pictures/staircase.py        (needs matplotlib: the extra `report`)
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from basins.experiment import load
from basins.laws import Gaussian, starts

HERE = Path(__file__).parent
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8c8c8c"  # Okabe and Ito: told apart by the colour-blind


def losses(problem, start, t):
    flow = solve_ivp(lambda _, W: -problem.gradient(W), (t[0], t[-1]), start, "LSODA", t, rtol=1e-8, atol=1e-10)
    return problem.loss(flow.y.T)


def main() -> None:
    experiment = load(HERE.parents[1] / "examples" / "iris.toml")
    free, control = experiment.cases
    problem = free.problem
    t = np.concatenate([[0.0], np.geomspace(1e-3, 30, 400)])
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    label_at = np.inf
    for stratum in problem.strata():  # by falling loss
        axes.axhline(stratum.loss, color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=0)
        label_at = min(stratum.loss, label_at - 2.4)  # labels of near values keep their distance
        text = f"I({stratum.index}), S = {{{', '.join(map(str, stratum.modes))}}}"
        where = (1.01, label_at)
        axes.annotate(text, where, xycoords=("axes fraction", "data"), color=GREY, fontsize=8, va="center")
    # Small starts pass the saddles closely, so the steps are easy to see.
    for k, start in enumerate(starts(problem, Gaussian(0.1), experiment.seed, 0)[:12]):
        label = "Gaussian starts, scale 0.1" if k == 0 else None
        axes.plot(t, losses(problem, start, t), color=BLUE, lw=1.1, alpha=0.75, label=label)
    for k, start in enumerate(starts(problem, control.law, experiment.seed, 0)[:3]):
        label = "planted on I(4): the control" if k == 0 else None
        axes.plot(t, losses(problem, start, t), color=ORANGE, lw=1.8, label=label)
    axes.set(xlabel="time t of the gradient flow", ylabel="loss L")
    axes.set(xlim=(0.03, 30), ylim=(-2, 56), xscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.06))
    figure.savefig(HERE / "staircase.png", dpi=110)


if __name__ == "__main__":
    main()
