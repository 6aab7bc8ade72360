"""CPU seconds from a fresh process to the first row of a new shape: imports, and the integration with its compiling."""

import json
import sys
import time

start = time.process_time()
import numpy as np  # noqa: E402

import basins  # noqa: E402

imported = time.process_time() - start
widths = json.loads(sys.argv[1])
problem = basins.Problem.from_spectrum(np.linspace(2, 0.5, widths[-1]) ** 1.01, d_x=widths[0], hidden=widths[1:-1])
start = time.process_time()
basins.integrate(problem, 0.5 * np.random.default_rng(0).normal(size=problem.n))
print(json.dumps([imported, time.process_time() - start]))
