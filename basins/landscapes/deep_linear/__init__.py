"""A deep linear network with the square loss: problem, gradient, strata, certificates.

problem.py is the landscape; what is written for problems is given to it here, so that no file imports one above it.
"""

from basins.landscapes.deep_linear.certificates.shape import can_test
from basins.landscapes.deep_linear.compression import compression
from basins.landscapes.deep_linear.critical_sets import DeepLinearSets
from basins.landscapes.deep_linear.problem import PARTS

PARTS.update(critical=DeepLinearSets, reduction=compression, shape=can_test)
