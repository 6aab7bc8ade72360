"""basins: how much of weight space flows into a saddle? A Monte Carlo estimator for the overfitting conjecture (OVF)."""

from basins.problem import Problem

__all__ = ["Problem"]
__version__ = "0.1.0"
