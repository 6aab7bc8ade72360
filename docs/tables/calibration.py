"""Write docs/calibration.md: how often the interval of `basins tail` holds P, by skew, levels and replicates.

python docs/tables/calibration.py        (half a minute)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from basins.rare.combine import CALIBRATED, FEWEST, offsets

ROOT = Path(__file__).parents[2]
Array = NDArray[np.float64]

SEED, SAMPLES = 1, 20_000
REPLICATES = (4, 5, 6, 8, 12, 16, 32)
KEEP = 0.2
"""p_0: the share that a level keeps."""

Law = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Logs of replicates' estimates of a P of 1, of a shape; -inf for one that died out."""


@dataclass(frozen=True)
class Row:
    """A law: what its replicates are, levels, log P of one replicate."""

    name: str
    levels: int
    logs: Law


def counted(chains: int, levels: int) -> Row:
    """The share of a level is a count of so many independent chains: what splitting is where they mix."""

    def logs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        total = np.zeros(shape)
        with np.errstate(divide="ignore"):
            for _ in range(levels):
                total += np.log(rng.binomial(chains, KEEP, shape) / (chains * KEEP))
        return total

    return Row(f"shares of {chains} chains", levels, logs)


def gamma(deviation: float, levels: int) -> Row:
    """The share of a level is gamma with a relative deviation such that theirs over all levels is this: skewed to the
    right by twice that deviation, its logarithm to the left."""

    def logs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        k = levels / deviation**2
        total = np.zeros(shape)
        for _ in range(levels):
            total += np.log(rng.gamma(k, 1 / k, shape))
        return total

    return Row(f"gamma shares, {deviation:g} in all", levels, logs)


def lognormal(deviation: float) -> Row:
    """What the interval is made for."""

    def logs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(-(deviation**2) / 2, deviation, shape)

    return Row(f"lognormal, s = {deviation:g}", 1, logs)


def seldom(chance: float, weight: float) -> Row:
    """A region that holds `weight` of P is found by a replicate with this chance; the rest as lognormal, s = 0.3."""

    def logs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        found = rng.random(shape) < chance
        rest = np.log((1 - weight) + found * weight / chance)
        return rest + rng.normal(-(0.3**2) / 2, 0.3, shape)

    return Row(f"{100 * weight:g} % of P found by one in {round(1 / chance)}", 1, logs)


ROWS = (
    lognormal(0.3),
    lognormal(1.0),
    lognormal(1.7),
    counted(1000, 18),
    *(counted(chains, levels) for chains in (200, 50) for levels in (1, 5, 18)),
    *(gamma(deviation, levels) for deviation in (0.3, 1.0) for levels in (1, 5, 18)),
    seldom(0.5, 0.5),
    seldom(0.25, 0.5),
    seldom(0.1, 0.2),
    seldom(0.1, 0.5),
)


@dataclass(frozen=True)
class Coverage:
    """Of samples of m replicates that have an interval: the shares whose interval, and whose one-sided bound, hold P;
    without: the share that has none, by replicates that died out or are all equal."""

    interval: float
    bound: float
    without: float


def coverage(row: Row, m: int, samples: int = SAMPLES, seed: int = SEED) -> Coverage:
    """Measured on samples of m replicates whose P is 1; the same arguments give the same numbers."""
    rng = np.random.default_rng([seed, m, row.levels, *row.name.encode()])
    logs = row.logs(rng, (samples, m))
    logs = logs[np.isfinite(logs).all(axis=1)]
    mean, s = logs.mean(axis=1), logs.std(axis=1, ddof=1)
    mean, s = mean[s > 1e-12], s[s > 1e-12]
    lower, upper, bound = (np.interp(np.log(s), *table) for table in tables(m))
    holds = (mean + lower * s <= 0) & (mean + upper * s >= 0)
    return Coverage(float(holds.mean()), float((mean + bound * s >= 0).mean()), 1 - len(s) / samples)


def tables(m: int) -> list[tuple[Array, Array]]:
    """The interval's three ends over s, on a grid of log s."""
    if m not in _TABLES:
        grid = np.geomspace(1e-3, 30.0, 160)
        ends = np.array([offsets(float(s), m) for s in grid]) / grid[:, None]
        _TABLES[m] = [(np.log(grid), end) for end in ends.T]
    return _TABLES[m]


_TABLES: dict[int, list[tuple[Array, Array]]] = {}


def moments(row: Row, samples: int = 200_000) -> tuple[float, float]:
    """Deviation and skewness of log P of a replicate that has not died out."""
    logs = row.logs(np.random.default_rng([SEED, 0]), (samples,))
    logs = logs[np.isfinite(logs)]
    deviation = float(logs.std())
    return deviation, float((((logs - logs.mean()) / deviation) ** 3).mean())


TEXT = """# How far the interval of a tail can be trusted

`basins tail` has an interval from the spread of independent replicates (basins/rare/combine.py). It is made for
lognormal estimates. Here it is measured on others, of known P. Made by

    python docs/tables/calibration.py

from {samples:,} samples of m replicates a cell, seed {seed}: the share of samples whose one-sided 95 % bound holds P,
and in brackets that of the two-sided 95 % interval, in per cent. The standard error is 0.15.

- s, skew: deviation and skewness of log P of one replicate.
- **shares of n chains**: at each level a binomial count of n independent chains, of which a fifth is kept. That is
  splitting whose chains mix; where they do not, n is the number of families, `from` in [tail.md](tail.md).
- **gamma shares**: each level's share is gamma, with a relative deviation that makes the one given over all levels.
- **x % of P found by one in k**: a replicate finds a region that holds x % of P with chance 1/k; s = 0.3 beside that.

| law | levels | s | skew | {heads} |
|---|---|---|---|{rules}
{rows}

What it says:

- Fewer than {fewest} replicates have no interval; `basins tail` refuses them, and says so of older runs.
- From {calibrated} replicates on it is called calibrated. The bound of a product of shares holds in {bound:.1f} %
  or more, whatever levels and skew; the interval, of several levels or of a lognormal law, in {interval:.1f} % or more.
- With {fewest} the bound holds as often ({bound_of_few:.1f} %) and the interval in {interval_of_few:.1f} % or more, but
  both are wide: for s = 1 the bound is {times_of_few:,.0f} times P in the median, with {calibrated} replicates
  {times:,.0f} times.
- The single gamma share, whose log P has the skew -1.15, is beyond it: with 32 replicates the interval holds in 90 %,
  for its lower end comes too high. The bound errs on the other side.
- It is not calibrated, with any number of replicates in the table, where one in four or fewer finds a region that holds
  much of P: those that do not find it say nothing of it. `basins tail` warns that replicates differ by more than each
  sees of its own error where some have found it, and cannot where none has.
- Replicates that are all equal have no interval, nor has a level at which one died out. Of the samples with {fewest}
  replicates of a product {most_without:.2g} % at most have none (shares of 50 chains); the table is of the others.
"""


def times(m: int, s: float = 1.0) -> float:
    """The bound over P, in the median of samples of m replicates of a lognormal law with deviation s."""
    logs = lognormal(s).logs(np.random.default_rng([SEED, m]), (SAMPLES, m))
    deviation = logs.std(axis=1, ddof=1)
    return float(np.exp(np.median(logs.mean(axis=1) + np.interp(np.log(deviation), *tables(m)[2]) * deviation)))


def products() -> list[Row]:
    """The laws that are products of shares, or lognormal as their limit is."""
    return [row for row in ROWS if "found by" not in row.name]


def main() -> None:
    found = {(row.name, row.levels, m): coverage(row, m) for row in ROWS for m in REPLICATES}
    lines = []
    for row in ROWS:
        deviation, skew = moments(row)
        cells = [found[row.name, row.levels, m] for m in REPLICATES]
        shown = " | ".join(f"{100 * cell.bound:.1f} ({100 * cell.interval:.1f})" for cell in cells)
        lines.append(f"| {row.name} | {row.levels} | {deviation:.2f} | {round(skew, 2) + 0.0:+.2f} | {shown} |")

    def least(name: str, few: int, many: int) -> float:
        """The least coverage over products with so many replicates, in per cent."""
        rows = products() if name == "bound" else [row for row in products() if row.levels > 1 or "log" in row.name]
        cells = [found[row.name, row.levels, m] for row in rows for m in REPLICATES if few <= m <= many]
        return 100 * min(float(getattr(cell, name)) for cell in cells)

    text = TEXT.format(
        samples=SAMPLES,
        seed=SEED,
        heads=" | ".join(f"m = {m}" for m in REPLICATES),
        rules="---|" * len(REPLICATES),
        rows="\n".join(lines),
        fewest=FEWEST,
        calibrated=CALIBRATED,
        bound=least("bound", CALIBRATED, 99),
        interval=least("interval", CALIBRATED, 99),
        bound_of_few=least("bound", FEWEST, FEWEST),
        interval_of_few=least("interval", FEWEST, FEWEST),
        times=times(CALIBRATED),
        times_of_few=times(FEWEST),
        most_without=100 * max(found[row.name, row.levels, FEWEST].without for row in products()),
    )
    (ROOT / "docs" / "calibration.md").write_text(text)


if __name__ == "__main__":
    main()
