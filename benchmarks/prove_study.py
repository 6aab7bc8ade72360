"""What share of an experiment's rows is proved: whole blocks of every case, in turns, and each row that is not.

    OMP_NUM_THREADS=1 python benchmarks/prove_study.py examples/study/pairs-2222.toml --blocks 65 --out FILE.jsonl

A block's 1,024 starts are independent draws of their law, so the first blocks of each case are a sample of it; all
cases get as many. FILE.jsonl has a line a block and is gone on with: --blocks says how many of each case there are to
be.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from basins.execution.extension import starts_of
from basins.execution.proving import unprovable
from basins.experiment import load
from basins.laws import BLOCK
from basins.proof import TIERS, UNPROVED, prove
from basins.statistics.binomial import ALPHA, two_sided


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    experiment = load(str(arguments.experiment))
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    done = [json.loads(line) for line in lines]
    there = {(line["case"], line["block"]) for line in done}
    cases = [case for case in experiment.cases if unprovable(case) is None]
    with arguments.out.open("a") as out:
        for block in range(arguments.blocks):
            for case in cases:
                if (case.name, block) in there or block * BLOCK >= case.trajectories:
                    continue
                ids = np.arange(block * BLOCK, min((block + 1) * BLOCK, case.trajectories), dtype=np.int64)
                begin = time.process_time()
                proof = prove(case.problem, starts_of(case, experiment.seed, ids))
                line = {
                    "case": case.name, "block": block, "rows": len(ids), "seconds": time.process_time() - begin,
                    "tiers": [int((proof.proved & (proof.tier == tier)).sum()) for tier in range(len(TIERS))],
                    "growth": float(proof.growth.max()), "t": float(proof.t.max()),
                    "unproved": [
                        {"id": int(ids[k]), "reason": UNPROVED[proof.reason[k]], "t": float(proof.t[k]),
                         "error": float(proof.error[k]), "growth": float(proof.growth[k]), "steps": int(proof.steps[k])}
                        for k in np.flatnonzero(~proof.proved)
                    ],
                }  # fmt: skip
                done.append(line)
                out.write(json.dumps(line) + "\n")
                out.flush()
    report(done)


def report(lines: list[dict]) -> None:
    rows, unproved = sum(line["rows"] for line in lines), [one for line in lines for one in line["unproved"]]
    lower, upper = two_sided(len(unproved), rows, ALPHA)
    tiers = np.sum([line["tiers"] for line in lines], axis=0)
    print(f"{rows:,} rows of {len({line['case'] for line in lines})} cases")
    print("proved:", ", ".join(f"{count:,} in {tier}" for tier, count in zip(TIERS, tiers.tolist(), strict=True)))
    print(f"not proved: {len(unproved)}, a share of {lower:.3g} to {upper:.3g} at 95 %")
    print(f"{1e3 * sum(line['seconds'] for line in lines) / rows:.3g} ms of CPU a row; largest growth "
          f"{max(line['growth'] for line in lines):.3g}, largest T {max(line['t'] for line in lines):.3g}")  # fmt: skip
    print("reasons:", dict(Counter(one["reason"] for one in unproved)))
    for line in lines:
        for one in line["unproved"][:3]:
            print(line["case"], one)


if __name__ == "__main__":
    main()
