"""An experiment: a TOML document, validated (document.py), as cases with keys (experiment.py).

data.py reads what it names, pilot.py times it where its plan is "auto", packed.py holds it without its data.
"""

from basins.experiment.experiment import Case, Experiment, Plan, load, watched

__all__ = ["Case", "Experiment", "Plan", "load", "watched"]
