"""A whole shard's bytes do not depend on the CPU: not on what LLVM, numba or OpenBLAS make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from basins.experiment import Experiment
from basins.store import create_or_resume, files_at

SCRIPT = Path(__file__).parent / "shard_bytes.py"

CASES = """
name = "cpus"
seed = 5
visits_every = 7
blocks_per_shard = 1
rows = "all"

[[case]]
name = "reduced"
trajectories = 1500
data = { source = "gaussian", samples = 40, d_x = 5, d_y = 3, seed = 2 }
network = { hidden = [4, 4] }
law = { name = "gaussian", scale = 0.5 }

[[case]]
name = "raw"
trajectories = 300
data = { source = "gaussian", samples = 40, d_x = 4, d_y = 3, seed = 3 }
network = { hidden = [4], flow = "raw" }
law = { name = "xavier" }

[[case]]
name = "compressed"
trajectories = 100
data = { source = "gaussian", samples = 60, d_x = 24, d_y = 2, seed = 4 }
network = { hidden = [16, 2] }
law = { name = "gaussian", scale = 0.2, draw = "compressed" }

[[case]]
name = "stiff"
trajectories = 100
data = { source = "spectrum", sigma = [400.0, 0.5], d_x = 2 }
network = { hidden = [2, 2] }
law = { name = "uniform", box = 0.1 }

[[case]]
name = "control"
trajectories = 200
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2, 2] }
law = { name = "planted", modes = [0], scale = 0.5 }
"""
"""Reduced, raw, compressed, stiff (RKC at work) and planted; visits of every seventh id."""

BASELINE = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The digests as this CPU has them."""
    return shards(tmp_path_factory.mktemp("here"), "host", "")


def shards(folder: Path, cpu: str, features: str, **environment: str) -> dict[str, dict[str, str]]:
    create_or_resume(files_at(folder / "run"), Experiment.from_toml(CASES, Path()))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "run"), cpu, features],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def x86_with(feature: str) -> bool:
    return llvm.get_process_triple().startswith("x86_64") and bool(llvm.get_host_cpu_features().get(feature, True))


@pytest.mark.parametrize(
    ("cpu", "features", "blas"),
    [("x86-64", "", "Prescott"), ("haswell", "", "Haswell"), ("skylake-avx512", "-prefer-256-bit", "SkylakeX")],
    ids=["baseline", "AVX2", "AVX-512"],
)
def test_step_and_blas_of_another_cpu(here, tmp_path, cpu, features, blas):
    needs = {"haswell": "fma", "skylake-avx512": "avx512f"}.get(cpu, "sse2")
    if not x86_with(needs):
        pytest.skip(f"this CPU cannot run code for {cpu}")
    assert shards(tmp_path, cpu, features, OPENBLAS_CORETYPE=blas) == here


@pytest.mark.slow
def test_numba_of_another_cpu(here, tmp_path):
    """Everything for baseline x86-64: the compiled draws, evaluations and the lanes' driver too."""
    if not x86_with("sse2"):
        pytest.skip("not an x86-64")
    assert shards(tmp_path, "x86-64", "", OPENBLAS_CORETYPE="Prescott", **BASELINE) == here
