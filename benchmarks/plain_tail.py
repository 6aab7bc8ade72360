"""P(T > t) by plain Monte Carlo, exact to the integration: RUN [T ...] -> a table a case, for runs with t_end.

    basins run examples/plain_tail.toml --out runs/plain-tail --on processes     # about two hours of CPU; resumable
    python benchmarks/plain_tail.py runs/plain-tail              # or ... runs/plain-tail 18.43 31 55.58: at these t

Rows that the level does not stop before t_end are those with T > t_end. They are drawn again and carried on to later
times, as `basins tail` carries its chains. `basins.rare.truth` has P(T > t) where it is known.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count

import numpy as np

from basins import laws
from basins.laws import BLOCK
from basins.rare.certification_time import CertificationTime
from basins.run_tables import open_run
from basins.statistics.binomial import two_sided

ALPHA, FEWEST, BUDGET = 0.05, 10, 10**7


def main(path: str, *times: float) -> None:
    """Print, for each case with a t_end, P(T > t) at the times from t_end on, rising; without any, at t_end times
    powers of the square root of 2. Of a run in progress: of what is there without a gap."""
    run = open_run(path)
    for row in run.cases().itertuples():
        case, N = run.case(row.case), int(run.blocks(row.case)["count"].sum())
        if not np.isfinite(case.settings.t_end):
            print(f"{case.name}: no t_end, so its rows tell no T > t")
            continue
        kept = run.trajectories(row.case, columns=["id", "reason"])
        ids = np.sort(kept["id"][kept["reason"] == "t_end"].to_numpy())
        blocks, starts = ids // BLOCK, np.empty((len(ids), case.problem.n))
        for block in np.unique(blocks):
            of = blocks == block
            starts[of] = laws.starts(case.problem, case.law, run.manifest.seed, int(block))[ids[of] % BLOCK]
        print(f"{case.name}: {N:,} trajectories\n  t            beyond          P(T > t)      95 % interval")
        coordinate = CertificationTime(case.problem, replace(case.settings, budget=BUDGET))
        state, since = coordinate.carrier.begin(starts), 0.0
        later = (time for time in times if time >= case.settings.t_end)
        for t in later if times else (case.settings.t_end * 2 ** (k / 2) for k in count()):
            if len(state) < FEWEST:
                break
            membership, there = coordinate.carry(state, since, t)
            state, since = there[membership.inside], t
            low, high = two_sided(len(state), N, ALPHA)
            print(f"  {t:<10.5g} {len(state):>12,}  {len(state) / N:>14.4e}      [{low:.3e}, {high:.3e}]")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("give the run's folder")
    main(sys.argv[1], *map(float, sys.argv[2:]))
