"""An experiment: a TOML document, validated (document.py), as cases with keys (experiment.py).

data.py reads its data, pilot.py times it if its plan is "auto", and packed.py stores it without its data.
"""

from basins.experiment.experiment import Case, Experiment, Plan, load, watched

__all__ = ["Case", "Experiment", "Plan", "load", "watched"]
