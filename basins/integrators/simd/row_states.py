"""What the compiled drivers know of a row: what is asked of it, where it stands, and why it stopped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype(
    [
        ("t", np.float64),  # at the start, and then at the stop
        ("level", np.float64),
        ("rest_after", np.float64),
        ("t_end", np.float64),
        ("max_step", np.float64),
        ("budget", np.int64),
        ("patience", np.int64),  # stiff steps of DOP853 before it ends as STIFF
        ("size", np.float64),  # of the next step, where another driver goes on
        ("before", np.float64),  # the gradient norm a step earlier
        ("first_norm", np.float64),  # the state's norm at the leg's start; filled in where negative
        ("increase", np.float64),  # the worst of the loss over a step
        ("steps", np.int64),
        ("rejected", np.int64),
        ("evaluations", np.int64),
        ("watch", np.bool_),
        ("stop", np.int8),
    ],
    align=True,
)
"""One row of a leg (base.IntegrationRequest, base.IntegrationResult) for one driver."""

Rows = NDArray[np.void]

GOES_ON = -1
"""No stop yet."""

STIFF = -2
"""Not the end of a row: stability holds DOP853's step down, and rkc.py is to carry it on."""

BACK = -3
"""Not the end of a row: DOP853 does as well from here."""

RESISTS = -4
"""Not the end of a row: it wants more stages than there are, and an implicit method is to carry it on."""
