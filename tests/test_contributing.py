"""CONTRIBUTING's lines do what the page says: each new tenant is found by its name, and works."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from basins import integrators, laws
from basins.execution import run as run_module
from basins.execution.inline import Inline
from basins.execution.shard import Task
from basins.experiment import Experiment
from basins.integrators.base import Ends, Leg, Settings
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import Law
from basins.output.figures import of_run
from basins.output.figures.style import legend_below, page, styled
from basins.progress import Listener
from basins.random.philox import Array
from basins.summary.reading import Reading

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
KNOWN = {
    "Array": Array, "ClassVar": ClassVar, "Ends": Ends, "Figure": Figure, "Inline": Inline, "Law": Law, "Leg": Leg,
    "Listener": Listener, "Problem": Problem, "Reading": Reading, "Reference": Reference, "Sequence": Sequence,
    "Settings": Settings, "Task": Task, "dataclass": dataclass, "legend_below": legend_below, "np": np, "page": page,
    "styled": styled,
}  # fmt: skip
"""What the page's lines find around them."""

TEXT = """
name = "new tenants"
seed = 3
trajectories = 1100
blocks_per_shard = 1
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2] }
law = { name = "laplace", scale = 0.5 }
engine = { name = "strict", method = "LSODA", budget = 30 }
"""


def test_a_new_law_engine_runner_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run through all four: drawn by the law, integrated by the engine, carried out by the runner, drawn."""
    module = ModuleType("new_tenants")
    module.__dict__.update(KNOWN)
    monkeypatch.setitem(sys.modules, "new_tenants", module)
    for room, name in ((laws, "LAWS"), (integrators, "_HOME"), (run_module, "RUNNERS"), (of_run, "FIGURES")):
        monkeypatch.setattr(room, name, dict(getattr(room, name)))
        module.__dict__[name] = getattr(room, name)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        assert len(block.splitlines()) <= 12
        exec(compile(block, PAGE.name, "exec"), module.__dict__)
    monkeypatch.setattr(integrators, "ENGINES", tuple(integrators._HOME))

    done: list[int] = []
    run = run_module.run(
        Experiment.from_toml(TEXT, tmp_path),
        tmp_path / "run",
        on="backwards",
        listeners=[lambda event: done.append(event.summary.task.shard) if hasattr(event, "summary") else None],
    )
    assert done == [1, 0]
    assert len(run.trajectories()) == 1100
    figure = of_run.figure_of(run, "steps")
    figure.canvas.draw()
    assert any("1,100 trajectories" in text.get_text() for text in figure.findobj(mpl.text.Text))
