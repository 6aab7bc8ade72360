"""Run by test_cpus.py: RUN CPU FEATURES -> the digests of every shard of a created run, with the lanes' step compiled
for a named CPU (or "host"). numba's target and OpenBLAS's are the environment's.
"""

from __future__ import annotations

import json
import sys

from basins.execution.shard import compute_shard
from basins.integrators.simd import integrator, kernel
from basins.store import files_at
from basins.store.commit import commit_shard, read_manifest


def main(run: str, cpu: str, features: str) -> None:
    if cpu != "host":
        integrator.kernel = lambda shape, width: kernel.compiled(shape, width, cpu, features)  # type: ignore[assignment]
    files = files_at(run)
    manifest = read_manifest(files)
    found = {}
    for case in manifest.cases:
        for shard in range(manifest.plan(case).shards):
            blocks = manifest.plan(case).shard(shard)
            tables = compute_shard(case, manifest.seed, blocks, manifest.visits_every, manifest.rows)
            found[f"{case.name}-{shard}"] = commit_shard(files, manifest, case, shard, tables)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
