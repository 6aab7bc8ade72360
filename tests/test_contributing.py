"""The code in CONTRIBUTING.md works as it stands: each new tenant is found by its name and runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, ClassVar

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from basins import integrators, laws
from basins.dynamics.defaults import DynamicsDefaults
from basins.errors import BasinsError
from basins.execution import run as run_module
from basins.execution.inline import Inline
from basins.execution.shard import Task
from basins.experiment import Experiment, reference
from basins.integrators.base import IntegrationRequest, IntegrationResult, Settings
from basins.integrators.scipy import Reference
from basins.keys import Key
from basins.landscapes.base import Codes, CriticalSet, Landscape, RestScale, Vocabulary
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.defaults import CriticalSetsDefaults, LandscapeDefaults
from basins.laws import Law
from basins.output.figures import of_run
from basins.output.figures.style import legend_below, page, styled
from basins.progress import Listener
from basins.random.philox import Array
from basins.summary.reading import Reading
from basins.verify import verify

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
KNOWN = {
    "Annotated": Annotated, "Array": Array, "ArrayLike": ArrayLike, "ClassVar": ClassVar, "Codes": Codes,
    "CriticalSet": CriticalSet, "CriticalSetsDefaults": CriticalSetsDefaults, "dataclass": dataclass,
    "DynamicsDefaults": DynamicsDefaults, "Figure": Figure, "Inline": Inline,
    "IntegrationRequest": IntegrationRequest, "IntegrationResult": IntegrationResult, "Key": Key,
    "Landscape": Landscape, "LandscapeDefaults": LandscapeDefaults, "Law": Law, "legend_below": legend_below,
    "Listener": Listener, "np": np, "page": page, "Problem": Problem, "Reading": Reading, "Reference": Reference,
    "RestScale": RestScale, "Sequence": Sequence, "Settings": Settings, "styled": styled, "Task": Task,
    "Vocabulary": Vocabulary,
}  # fmt: skip
"""The names that the code of the page uses without importing them."""

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


def sections() -> dict[str, dict[str, str]]:
    """Heading -> language -> its code, of the sections that have some."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        blocks = re.findall(r"^```(python|toml)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        assert len(dict(blocks)) == len(blocks), f"several blocks of one language: {heading}"
        if blocks:
            found[heading] = dict(blocks)
    return found


def executed(block: str, module: ModuleType, longest: int) -> None:
    assert len(block.splitlines()) <= longest
    exec(compile(block, PAGE.name, "exec"), module.__dict__)


def test_a_new_landscape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the page's lines and its TOML to an estimate: each well has measure one half."""
    section = sections()["A landscape"]
    module = ModuleType("wells")
    module.__dict__.update(KNOWN)
    monkeypatch.setitem(sys.modules, "wells", module)
    executed(section["python"], module, 45)
    text = f'name = "wells"\nseed = 4\ntrajectories = 400\nvisits_every = 50\n{section["toml"]}'
    run = run_module.run(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")
    landscape: Landscape = run.manifest.cases[0].landscape
    assert (landscape.n, landscape.to_dict()) == (3, {"n": 3})
    (case,) = run.estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (400, 0, 0)
    assert all(one.lower < 0.5 < one.upper for one in case.strata if one.is_minimum)
    checked = verify(tmp_path / "run", sample=10)
    assert checked.findings == ()
    assert checked.labels is not None
    assert {one.found for one in checked.labels.rows} == {"agreed"}


def test_a_new_dynamics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the page's lines and its TOML to an estimate: every start is certified to end at a global minimum."""
    section = sections()["A dynamics"]
    module = ModuleType("descent")
    module.__dict__.update(KNOWN)
    monkeypatch.setitem(sys.modules, "descent", module)
    executed(section["python"], module, 15)
    network = 'data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }\nnetwork = { hidden = [2] }\n'
    law = '[law]\nname = "gaussian"\nscale = 0.5\n'
    text = f'name = "descent"\nseed = 4\ntrajectories = 200\n{network}{section["toml"]}\n{law}'
    run = run_module.run(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")
    assert run.manifest.cases[0].dynamics.to_dict() == {"rate": 0.1}
    (case,) = run.estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (200, 0, 0)
    assert set(run.trajectories()["certificate"]) == {"trap"}
    for wrong in ("rate = 0", "rate = true", "speed = 0.1"):
        with pytest.raises(BasinsError):
            Experiment.from_toml(text.replace("rate = 0.1", wrong), tmp_path)


def test_a_new_law_engine_runner_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run through all four: drawn by the law, integrated by the engine, carried out by the runner, drawn."""
    module = ModuleType("new_tenants")
    module.__dict__.update(KNOWN)
    monkeypatch.setitem(sys.modules, "new_tenants", module)
    for room, name in ((laws, "LAWS"), (integrators, "_HOME"), (run_module, "RUNNERS"), (of_run, "FIGURES")):
        monkeypatch.setattr(room, name, dict(getattr(room, name)))
        module.__dict__[name] = getattr(room, name)
    blocks = sections()
    for heading in ("A law of the initial weights", "An engine", "A runner", "A figure"):
        executed(blocks[heading]["python"], module, 12)
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
    (row,) = reference._rows_of_law(laws.LAWS["laplace"])
    assert (row.name, row.kind, row.default, row.example) == ("scale", "a number above zero", "required", "scale = 0.5")
