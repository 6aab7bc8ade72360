"""Survival: exact at the edges, never lowered by censoring, and its least value is the estimate's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_runs import GAUSSIAN, Fates, experiment, made

import basins
from basins.errors import ArgumentError
from basins.experiment import Experiment
from basins.run_tables import Run
from basins.statistics.binomial import two_sided
from basins.summary import summarise
from basins.summary.survival import Survival, exact_points, exact_survival, survival
from basins.summary.tails import exponents, tails

N = 2500


@pytest.fixture
def fates(rng: np.random.Generator) -> Fates:
    return Fates(rng.exponential(2.0, N), {7: 1, 1100: 0, 2001: 1}, tuple(range(40, 60)))


def test_survival_is_the_share_not_certified_at_every_edge(tmp_path: Path, fates: Fates) -> None:
    found = survival(summarise(made(tmp_path, experiment(N), {"gaussian": fates}), "gaussian"))
    t = np.array(fates.t)
    t[[7, 1100, 2001, *range(40, 60)]] = np.inf
    assert found.alive.tolist() == [int((t >= edge).sum()) for edge in found.t]
    assert found.S[0] == 1.0
    assert found.S[-1] == found.least == 23 / N


def test_rows_and_histogram_agree_at_the_edges(tmp_path: Path, fates: Fates) -> None:
    fine = survival(summarise(made(tmp_path / "a", experiment(N), {"gaussian": fates}), "gaussian"))
    coarse = survival(
        summarise(made(tmp_path / "b", experiment(N, rows="exceptions"), {"gaussian": fates}), "gaussian")
    )
    at = np.searchsorted(fine.t, coarse.t)
    assert (fine.t[at] == coarse.t).all()
    assert fine.alive[at].tolist() == coarse.alive.tolist()


def test_the_least_value_is_that_of_the_estimate(tmp_path: Path, fates: Fates) -> None:
    run = made(tmp_path, experiment(N), {"gaussian": fates})
    case, found = run.estimate().cases[0], survival(summarise(run, "gaussian"))
    assert found.never == case.saddle + case.censored
    assert found.least == (case.saddle + case.censored) / case.trajectories


def test_censoring_never_makes_the_tail_thinner(tmp_path: Path, rng: np.random.Generator) -> None:
    """A budget stops the slow ones early: S with them censored at t = 1 is S without censoring, where that is known,
    and above it beyond. Kaplan and Meier's estimate of the same rows is far below."""
    t = rng.exponential(2.0, N)
    slow = np.flatnonzero(t > 5)
    seen = t.copy()
    seen[slow] = 1.0
    whole = survival(summarise(made(tmp_path / "whole", experiment(N), {"gaussian": Fates(t)}), "gaussian"))
    run = made(tmp_path / "cut", experiment(N), {"gaussian": Fates(seen, {}, tuple(slow))})
    cut = survival(summarise(run, "gaussian"))
    assert (cut.alive >= whole.alive).all()
    early = cut.t <= 1.0
    assert (cut.alive[early] == whole.alive[early]).all()
    assert cut.first_censored == 1.0
    order = np.argsort(seen)
    at_risk, certified = N - np.arange(N), ~np.isin(order, slow)
    kaplan_meier = np.cumprod(np.where(certified, 1 - 1 / at_risk, 1.0))
    at_five = kaplan_meier[np.searchsorted(seen[order], 5.0) - 1]
    assert at_five < 0.2 * (t >= 5).mean()


def test_the_bands(tmp_path: Path, fates: Fates) -> None:
    found = survival(summarise(made(tmp_path, experiment(N), {"gaussian": fates}), "gaussian"))
    lower, upper = found.band()
    for at in (0, 300, 350, 400, len(found.t) - 1):
        assert (lower[at], upper[at]) == pytest.approx(two_sided(int(found.alive[at]), N, 0.05), rel=1e-12)
    lower, upper = found.band("dkw")
    assert (upper - lower).max() <= 2 * np.sqrt(np.log(40) / (2 * N)) + 1e-15
    with pytest.raises(ArgumentError, match="no band 'normal'"):
        found.band("normal")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="confidence"):
        found.band(confidence=1.0)


def test_only_the_joint_band_covers_jointly(rng: np.random.Generator) -> None:
    """400 samples of 200 from a known law: DKW misses somewhere in at most 5 %; pointwise intervals more often."""
    edges = np.arange(1, 64) / 64
    missed = {"binomial": 0, "dkw": 0}
    for _ in range(400):
        t = rng.uniform(size=200)
        one = Survival(edges, (t[:, None] >= edges).sum(axis=0), 200, 0, 0, np.inf)
        for kind in missed:
            lower, upper = one.band(kind)  # type: ignore[arg-type]
            missed[kind] += bool(((1 - edges < lower) | (1 - edges > upper)).any())
    assert missed["dkw"] / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert missed["binomial"] / 400 > 0.15


def test_the_table_has_the_edges_where_survival_changes(tmp_path: Path, fates: Fates) -> None:
    table = survival(summarise(made(tmp_path, experiment(N), {"gaussian": fates}), "gaussian")).table()
    assert list(table) == ["t", "not_certified", "S", "lower", "upper"]
    assert table["S"].iloc[0] == 1.0
    assert table["S"].iloc[-1] == 23 / N
    assert (table["lower"] < table["S"]).all()


def test_nothing_counted_and_nothing_certified(tmp_path: Path) -> None:
    run = made(tmp_path / "empty", experiment(N, GAUSSIAN), {})
    nothing = survival(summarise(run, "gaussian"))
    assert nothing.least is None
    assert nothing.table().empty
    assert np.isnan(nothing.S).all()
    run = made(tmp_path / "censored", experiment(N, GAUSSIAN), {"gaussian": Fates(1.0, {}, range(N))})
    censored = survival(summarise(run, "gaussian"))
    assert censored.least == 1.0
    assert (censored.table()["S"] == 1.0).all()


# --- the exact law, on real runs -------------------------------------------------------------------------------------

CHAINS = """
name = "chains"
seed = 5
trajectories = 8192
blocks_per_shard = 8
[data]
source = "spectrum"
sigma = [1.0]
d_x = 1
[[case]]
name = "chain"
network = { hidden = [1, 1] }
law = { name = "gaussian", scale = [0.5, 0.4, 0.6] }
[[case]]
name = "wide"
network = { hidden = [3] }
law = { name = "gaussian", scale = 0.3 }
[[case]]
name = "planted"
trajectories = 8
network = { hidden = [1, 1] }
law = { name = "planted", modes = [], scale = 0.5 }
"""


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return basins.run(
        Experiment.from_toml(CHAINS, tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("chains"), on="inline"
    )


@pytest.mark.parametrize("name", ["chain", "wide"])
def test_rows_are_later_than_the_exact_law_by_less_than_half_their_time(chains: Run, name: str) -> None:
    """A row's time is the end of a step that began above the level, later than T, and here by less than half of
    itself: P(T > t) <= S(t) <= P(T > t/2), to the joint band."""
    curve = survival(summarise(chains, name))
    points = exact_points(chains.case(name), curve)
    assert points is not None
    t, S = points
    assert len(t) > 5
    lower, upper = curve.band("dkw")
    at = np.searchsorted(curve.t, t)
    assert (upper[at] >= S).all()
    earlier = exact_survival(chains.case(name), t / 2)
    assert earlier is not None
    known = np.isfinite(earlier)
    assert known.sum() > 5
    assert (lower[at] <= earlier)[known].all()
    assert S[0] > 20 * S[-1]


def test_exact_survival_is_none_for_other_laws(chains: Run, tmp_path: Path) -> None:
    planted = chains.case("planted")
    assert exact_points(planted, survival(summarise(chains, "planted"))) is None
    matrices = made(tmp_path, experiment(N), {"gaussian": Fates(1.0)})
    assert exact_points(matrices.case("gaussian"), survival(summarise(matrices, "gaussian"))) is None
    early = exact_survival(chains.case("chain"), np.array([1e-9, 3.0]))
    assert early is not None
    assert np.isnan(early[0])
    assert 0 < early[1] < 1


def test_tails_of_real_runs_are_of_the_predicted_kind(chains: Run) -> None:
    """One hidden layer: exponential; a chain of three weights: a power law, whose exponent rises towards 3."""
    wide, chain = (tails(summarise(chains, name), samples=50) for name in ("wide", "chain"))
    assert wide.prediction.kind == "exponential"
    assert wide.exponential is not None
    assert wide.exponential.p_value > 0.02
    assert wide.better != "power law"
    assert chain.prediction.exponent == 3.0
    assert chain.power_law is not None
    assert chain.better != "exponential"
    table = exponents(summarise(chains, "chain"), shares=(0.3, 0.1, 0.02), samples=0)
    assert table["exponent"].is_monotonic_increasing
    assert table["exponent"].iloc[-1] < 3.5
