"""OpenTURNS' SubsetSampling of P(T > t), T asked for over a pipe. Runs in the peers' environment, without basins.

The first argument is JSON: n, t, chains, proposal_range, keep, seeds. A question on standard output is an int64 M and M
points (n float64 each); its answer on standard input M float64, T or anything above t. M = 0 says that no question
comes any more; then a line of JSON, [probability, steps] a seed, and CPU seconds of this process.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import openturns as ot


def ask(z: object) -> list[list[float]]:
    """T of points."""
    points = np.ascontiguousarray(np.asarray(z), dtype=np.float64)
    sys.stdout.buffer.write(np.int64(len(points)).tobytes() + points.tobytes())
    sys.stdout.buffer.flush()
    return np.frombuffer(sys.stdin.buffer.read(8 * len(points))).reshape(-1, 1).tolist()


def main() -> None:
    asked = json.loads(sys.argv[1])
    f = ot.PythonFunction(asked["n"], 1, func_sample=ask)
    told = []
    for seed in asked["seeds"]:
        ot.RandomGenerator.SetSeed(seed)
        T = ot.CompositeRandomVector(f, ot.RandomVector(ot.Normal(asked["n"])))
        event = ot.ThresholdEvent(T, ot.Greater(), asked["t"])
        algorithm = ot.SubsetSampling(event, asked["proposal_range"], asked["keep"])
        algorithm.setBlockSize(asked["chains"])  # a level's points come in one question
        algorithm.setMaximumOuterSampling(1)
        algorithm.setMinimumProbability(1e-30)  # else it gives up at its default, 1e-10 or so
        algorithm.run()
        told.append([algorithm.getResult().getProbabilityEstimate(), algorithm.getStepsNumber()])
    sys.stdout.buffer.write(np.int64(0).tobytes())
    print(json.dumps({"runs": told, "seconds": time.process_time()}), flush=True)


if __name__ == "__main__":
    main()
