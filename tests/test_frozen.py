"""The bytes of schema 2 are frozen: SHA-256 of the generated code, and of every file of a set of shards.

A refactoring must not change one of them. Where a change is meant (a new schema, another pinned package), write
tests/frozen.json again with `python tests/test_frozen.py`, and say in the commit which bytes changed and why.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from basins.execution.shard import compute_shard
from basins.experiment import Experiment
from basins.integrators.simd.step_code import source
from basins.landscapes.deep_linear.gradient_code import DeepLinearCode
from basins.store import Manifest, files_at
from basins.store.commit import commit_shard

FROZEN = Path(__file__).with_name("frozen.json")
MANIFEST = Path(__file__).with_name("frozen-manifest.json")
"""The cases of the shards with their numbers: an SVD's last bit depends on the CPU, so it is not done again."""

SHAPES = [
    DeepLinearCode((2, 2, 2, 2)),
    DeepLinearCode((4, 4, 3)),
    DeepLinearCode((5, 4, 4, 3)),
    DeepLinearCode((16, 20, 10)),
    DeepLinearCode((3, 2, 2, 2, 2)),
    DeepLinearCode((4, 4, 3), raw=True),
]
WIDTHS = (1, 2, 4, 8, 16)

SHARDS = """
name = "frozen"
seed = 11
visits_every = 9
blocks_per_shard = 1

[[case]]
name = "reduced"
trajectories = 1200
data = { source = "spectrum", sigma = [3.0, 2.0, 1.0], d_x = 5 }
network = { hidden = [4, 4] }
law = { name = "gaussian", scale = 0.5 }

[[case]]
name = "raw"
trajectories = 200
data = { source = "gaussian", samples = 40, d_x = 4, d_y = 3, seed = 3 }
network = { hidden = [4], flow = "raw" }
law = { name = "xavier" }

[[case]]
name = "compressed"
trajectories = 100
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 24 }
network = { hidden = [16, 2] }
law = { name = "gaussian", scale = 0.2, draw = "compressed" }

[[case]]
name = "stiff"
trajectories = 100
data = { source = "spectrum", sigma = [400.0, 0.5], d_x = 2 }
network = { hidden = [2, 2] }
law = { name = "uniform", box = 0.1 }

[[case]]
name = "planted"
trajectories = 200
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2, 2] }
law = { name = "planted", modes = [0], scale = 0.5 }
"""


def code_of(shape: DeepLinearCode, lanes: int) -> str:
    return hashlib.sha256(source(shape, lanes).encode()).hexdigest()


def name_of(shape: DeepLinearCode) -> str:
    return "-".join(map(str, shape.widths)) + (" raw" if shape.raw else "")


def shard_files(folder: Path) -> dict[str, dict[str, str]]:
    """Case and shard -> kind of file -> SHA-256."""
    files, manifest = files_at(folder), Manifest.from_json(MANIFEST.read_bytes(), str(MANIFEST))
    found = {}
    for case in manifest.cases:
        for shard in manifest.shards(case):
            blocks = manifest.plan(case).shard(shard)
            tables = compute_shard(case, manifest.seed, blocks, manifest.visits_every, manifest.rows)
            digests = commit_shard(files, manifest, case, shard, tables)
            found[f"{case.name} {shard}"] = {str(kind): digest for kind, digest in digests.items()}
    return found


def frozen() -> dict[str, dict[str, dict[str, str]]]:
    return json.loads(FROZEN.read_text())


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_generated_code_is_frozen(shape: DeepLinearCode) -> None:
    assert {str(lanes): code_of(shape, lanes) for lanes in WIDTHS} == frozen()["code"][name_of(shape)]


def test_cases_of_the_shards_are_those_of_the_experiment() -> None:
    """Their keys: text, law and settings; and the manifest is written as it was."""
    kept = Manifest.from_json(MANIFEST.read_bytes(), str(MANIFEST))
    assert [case.key for case in kept.cases] == [case.key for case in Experiment.from_toml(SHARDS, Path()).cases]
    assert kept.to_json() == MANIFEST.read_bytes()


def test_files_of_shards_are_frozen(tmp_path: Path) -> None:
    found = shard_files(tmp_path / "run")
    assert found == frozen()["shards"]


if __name__ == "__main__":
    import tempfile

    if not MANIFEST.exists():
        MANIFEST.write_bytes(Manifest.of(Experiment.from_toml(SHARDS, Path())).to_json())
    with tempfile.TemporaryDirectory() as folder:
        content = {
            "code": {name_of(shape): {str(lanes): code_of(shape, lanes) for lanes in WIDTHS} for shape in SHAPES},
            "shards": shard_files(Path(folder) / "run"),
        }
    FROZEN.write_text(json.dumps(content, indent=1) + "\n")
