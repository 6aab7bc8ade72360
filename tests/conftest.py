"""What several rooms' tests share: the flow at a given time, a solver's own measure of error, exact critical
points; and which worker of pytest-xdist runs what."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from basins import Problem
from basins.integrators.base import IntegrationRequest, Settings, Stop
from basins.integrators.scipy import Reference

# Ray's workers give way to all else (niceness 15); on a busy machine tests would wait for them without end.
os.environ.setdefault("RAY_worker_niceness", "0")

COMPILE_PROOFS = (
    "tests/estimate/test_proved.py",
    "tests/proof/",
    "tests/verify/test_proved_files.py",
    "tests/verify/test_proving.py",
    "tests/test_readme.py",
)
"""Where proofs are made. To compile them takes a minute and more, which every worker would do for itself."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests are one worker's, as `--dist loadfile` has it, and those that compile proofs are one worker's
    together."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]

    class CompiledOnce(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "proofs" if nodeid.startswith(COMPILE_PROOFS) else str(super()._split_scope(nodeid))

    return CompiledOnce(config, log)


Array = NDArray[np.float64]
RTOL, ATOL = 1e-8, 1e-10


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20220110)


@pytest.fixture
def flow_to() -> Callable[..., Array]:
    """flow_to(problem, starts (N, n), t, method): states (N, n) at exactly t by scipy, no certificate and no rest
    asked."""

    def carry(
        problem: Problem, starts: ArrayLike, t: float, method: str = "DOP853", rtol: float = RTOL, atol: float = ATOL
    ) -> Array:
        starts = np.atleast_2d(np.asarray(starts, dtype=np.float64))
        N = len(starts)
        leg = IntegrationRequest(
            starts=starts,
            t_start=np.zeros(N),
            level=np.full(N, -np.inf),
            rest_after=np.full(N, np.inf),
            budget=np.full(N, 10**6),
            t_end=np.full(N, t),
            max_step=np.full(N, np.inf),
            watch=np.zeros(N, dtype=bool),
        )
        settings = Settings(method=method, rtol=rtol, atol=atol, certify=False, t_end=t)
        ends = Reference().integrate(problem, leg, settings)
        assert (ends.stop == Stop.T_END).all()
        assert (ends.t == t).all()
        return ends.state

    return carry


@pytest.fixture
def off_by() -> Callable[..., float]:
    """off_by(integrated, exact): the rms error in multiples of atol + rtol |exact|, scipy's `compute_error`."""

    def error(integrated: Array, exact: Array, rtol: float = RTOL, atol: float = ATOL) -> float:
        return float(np.sqrt(np.mean(((integrated - exact) / (atol + rtol * np.abs(exact))) ** 2)))

    return error


@pytest.fixture
def critical_point() -> Callable[..., Array]:
    """critical_point(problem, S, rng): a random exact critical point of the reduced flow on I_S, any H.

    The paper's (24) for H = 1: S^c columns of W_{1,1} and S^c rows of W_{H+1} zero, R_S W_{1,1,1} = D_Y, R_S W_{1,2}
    = 0 with R = W_{H+1}...W_2; all that these leave free is drawn.
    """

    def construct(problem: Problem, S: Sequence[int], rng: np.random.Generator) -> Array:
        S = list(S)
        layers = [rng.standard_normal(shape) for shape in problem.shapes]
        layers[-1][[i for i in range(problem.d_y) if i not in S]] = 0.0
        R = layers[-1]
        for W_j in layers[-2:0:-1]:
            R = R @ W_j
        target = np.zeros((len(S), problem.d_x))
        target[np.arange(len(S)), S] = problem.sigma[S]
        W_1 = layers[0]
        W_1[:, [i for i in range(problem.d_y) if i not in S]] = 0.0
        if S:
            W_1 += np.linalg.pinv(R[S]) @ (target - R[S] @ W_1)
            W_1[:, [i for i in range(problem.d_y) if i not in S]] = 0.0
        return problem.pack(layers)

    return construct
