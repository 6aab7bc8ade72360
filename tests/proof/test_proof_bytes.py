"""A proof has the same bytes on any CPU: here, compiled for another one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import SHAPES, gaussian, planted

from basins.proof import prove

FIELDS = ("proved", "reason", "t", "error", "margin", "growth", "steps", "tier")


def digest() -> str:
    """Of proofs in every tier, reduced and raw."""
    seen = hashlib.sha256()
    for name in ("2222", "22222", "raw 3322"):
        problem = SHAPES[name]
        starts = [gaussian(problem, 6, 30)]
        if problem.flow == "reduced":
            starts.append(planted(problem, (0,), 2, 31) + 1e-9)
        for tier in ("B", "C", "D", "E", "BCDE"):
            found = prove(problem, np.concatenate(starts), 1e-9 if tier == "D" else 0.0, tiers=tier)
            for field in FIELDS:
                seen.update(getattr(found, field).tobytes())
    return seen.hexdigest()


def elsewhere(cache: Path, **environment: str) -> str:
    code = "import sys\nsys.path[:0] = sys.argv[1:]\nfrom test_proof_bytes import digest\nprint(digest())\n"
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), *sys.path],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.slow
def test_bytes_are_those_of_plain_x86_64(tmp_path: Path) -> None:
    assert elsewhere(tmp_path, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="") == digest()
