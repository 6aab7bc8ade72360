"""basins: how much of weight space flows into a saddle? A Monte Carlo estimator for the overfitting conjecture (OVF).

    problem = basins.Problem.from_data(X, Y, hidden=(4, 4))
    limits = basins.integrate(problem, W0)
    certified = basins.certify(problem, W0)
    proof = basins.prove(problem, W0)
    run = basins.run("examples/iris.toml", out="runs/iris")
    run = basins.extend("runs/iris", budget=10**7)
    run = basins.prove_run("runs/iris", rows=10_000)
    run = basins.open_run("runs/iris")
    run.estimate(), run.show(17), run.plot("survival"), run.verify(), run.report("report.html")
    flow = basins.trajectory(problem, W0, t_eval=[0.0, 1.0, 10.0])
    problem, W = basins.from_torch(module, X, Y)
    basins.where(problem, W)

Names are resolved when they are first used, so that `import basins` stays light: no ray, no matplotlib, no pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basins.classification.classify_batch import integrate
    from basins.classification.verdict import Limits, Reason
    from basins.commands import Job, codim, describe, follow, migrate, plan, stop, submit
    from basins.comparison import compare, pool
    from basins.drafting import draft
    from basins.endpoint import Endpoint, where
    from basins.errors import BasinsError
    from basins.execution.from_python import run
    from basins.execution.run import extend, prove_run
    from basins.experiment import Case, Experiment, Sweep
    from basins.landscapes.base import Verdict
    from basins.landscapes.deep_linear.certificates import Certified, certify
    from basins.landscapes.deep_linear.critical_sets import Certificate
    from basins.landscapes.deep_linear.problem import Problem
    from basins.landscapes.deep_linear.trained import from_jax, from_torch
    from basins.laws import Balanced, Gaussian, He, Lecun, NearPlanted, Planted, Uniform, Xavier
    from basins.proof import Proof, largest_ball, prove
    from basins.rare.tail import tail
    from basins.run_tables import Run, open_run
    from basins.trajectories import Trajectory, trajectory

__version__ = "0.1.0"

_HOME = {
    "Balanced": "basins.laws",
    "BasinsError": "basins.errors",
    "Case": "basins.experiment",
    "Certificate": "basins.landscapes.deep_linear.critical_sets",
    "Certified": "basins.landscapes.deep_linear.certificates",
    "Endpoint": "basins.endpoint",
    "Experiment": "basins.experiment",
    "Gaussian": "basins.laws",
    "He": "basins.laws",
    "Job": "basins.commands",
    "Lecun": "basins.laws",
    "Limits": "basins.classification.verdict",
    "NearPlanted": "basins.laws",
    "Planted": "basins.laws",
    "Problem": "basins.landscapes.deep_linear.problem",
    "Proof": "basins.proof",
    "Reason": "basins.classification.verdict",
    "Run": "basins.run_tables",
    "Sweep": "basins.experiment",
    "Trajectory": "basins.trajectories",
    "Uniform": "basins.laws",
    "Verdict": "basins.landscapes.base",
    "Xavier": "basins.laws",
    "certify": "basins.landscapes.deep_linear.certificates",
    "codim": "basins.commands",
    "compare": "basins.comparison",
    "describe": "basins.commands",
    "draft": "basins.drafting",
    "extend": "basins.execution.run",
    "follow": "basins.commands",
    "from_jax": "basins.landscapes.deep_linear.trained",
    "from_torch": "basins.landscapes.deep_linear.trained",
    "integrate": "basins.classification.classify_batch",
    "largest_ball": "basins.proof",
    "migrate": "basins.commands",
    "open_run": "basins.run_tables",
    "plan": "basins.commands",
    "pool": "basins.comparison",
    "prove": "basins.proof",
    "prove_run": "basins.execution.run",
    "run": "basins.execution.from_python",
    "stop": "basins.commands",
    "submit": "basins.commands",
    "tail": "basins.rare.tail",
    "trajectory": "basins.trajectories",
    "where": "basins.endpoint",
}

__all__ = [
    "Balanced",
    "BasinsError",
    "Case",
    "Certificate",
    "Certified",
    "Endpoint",
    "Experiment",
    "Gaussian",
    "He",
    "Job",
    "Lecun",
    "Limits",
    "NearPlanted",
    "Planted",
    "Problem",
    "Proof",
    "Reason",
    "Run",
    "Sweep",
    "Trajectory",
    "Uniform",
    "Verdict",
    "Xavier",
    "certify",
    "codim",
    "compare",
    "describe",
    "draft",
    "extend",
    "follow",
    "from_jax",
    "from_torch",
    "integrate",
    "largest_ball",
    "migrate",
    "open_run",
    "plan",
    "pool",
    "prove",
    "prove_run",
    "run",
    "stop",
    "submit",
    "tail",
    "trajectory",
    "where",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'basins' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
