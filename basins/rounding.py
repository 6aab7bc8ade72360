"""The two constants of double precision."""

import numpy as np

EPS = float(np.finfo(np.float64).eps)
"""The spacing of the floats above 1, 2^-52."""

U = EPS / 2
"""Unit roundoff u = 2^-53."""
