"""basins: how much of weight space flows into a saddle? A Monte Carlo estimator for the overfitting conjecture (OVF).

    problem = basins.Problem.from_data(X, Y, hidden=(4, 4))
    limits = basins.integrate(problem, W0)
    proved = basins.certify(problem, W0)
    run = basins.run("examples/iris.toml", out="runs/iris")
    run = basins.extend("runs/iris", budget=10**7)
    run = basins.open_run("runs/iris")

Names are resolved when they are first used, so that `import basins` stays light: no ray, no matplotlib, no pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basins.certificates import Certified, certify
    from basins.engines.drive import integrate
    from basins.errors import BasinsError
    from basins.limits import Certificate, Limits, Reason, Verdict
    from basins.problem import Problem
    from basins.runners import extend, run
    from basins.store import Run, open_run

__version__ = "0.1.0"

_HOME = {
    "BasinsError": "basins.errors",
    "Certificate": "basins.limits",
    "Certified": "basins.certificates",
    "Limits": "basins.limits",
    "Problem": "basins.problem",
    "Reason": "basins.limits",
    "Run": "basins.store",
    "Verdict": "basins.limits",
    "certify": "basins.certificates",
    "extend": "basins.runners",
    "integrate": "basins.engines.drive",
    "open_run": "basins.store",
    "run": "basins.runners",
}

__all__ = [
    "BasinsError",
    "Certificate",
    "Certified",
    "Limits",
    "Problem",
    "Reason",
    "Run",
    "Verdict",
    "certify",
    "extend",
    "integrate",
    "open_run",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'basins' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
