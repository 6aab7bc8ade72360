"""The tables of a deep linear network's runs, for tests that make rows without a case."""

from __future__ import annotations

from basins.landscapes.deep_linear.critical_sets import VOCABULARY, DeepLinearSets
from basins.store.schemas import Tables

DEEP_LINEAR = Tables(VOCABULARY, DeepLinearSets.evidence)
