"""An experiment: a TOML document, validated (document.py), as cases with keys (experiment.py, case.py).

from_python.py makes the documents of one that is built in Python, case_builder.py the cases of its tables. data.py
reads its data, pilot.py times it if its plan is "auto", and packed.py stores it without its data.
"""

from basins.experiment.case import Case
from basins.experiment.experiment import Experiment, Plan, load, watched
from basins.experiment.sweep import Sweep

__all__ = ["Case", "Experiment", "Plan", "Sweep", "load", "watched"]
