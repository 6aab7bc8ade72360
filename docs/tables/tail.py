"""Write docs/tail.md and docs/pictures/tail.png from runs of `basins tail`, one a folder, where the page says how.

python docs/tables/tail.py RUNS        (needs matplotlib: the extra `report`)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from basins.estimate.sentences import at_most
from basins.output.figures.style import COLOURS, encoded, logarithmic, look, styled
from basins.rare import formatting
from basins.rare.approach_truth import nearer
from basins.rare.tail import REPLICATES, CaseTail, read_tail
from basins.rare.truth import survival

ROOT = Path(__file__).parents[2]

HEAD = """# The tail of T: bounds below 3/N

This page is made by `python docs/tables/tail.py RUNS` from the runs below. Counting N starts cannot bound a measure
below about 3/N; rare-event simulation can. T is the time at which the loss proves a global minimum (theory.md 3a).
Every saddle basin lies inside {T > t}, so P(T > t) bounds the saddle measure, for every t.

    basins tail docs/tables/tail.toml --case 2-2-2-2 --out RUNS/2-2-2-2 --population 4000 --target 3e-13

`basins status`, `estimate`, `report` and `plot tail` take such a folder; `estimate` says what each column means.

The other rows were made in the same way, with the number of chains given in the table (iris: examples/iris.toml
--case gaussian). The laws are Gaussian with the given scale, the spectra are 2, 1 (3, 2, 1 for 3-3-3-3; 1 for the
chains), and the flow is the reduced one.

Bounds are one-sided at 95 %, from eight independent replicates unless a row gives another number.
basins/rare/combine.py explains the interval, and [calibration.md](calibration.md) how far it can be trusted. The
bounds concern computed trajectories: label error is not included. `kept` is the share of {T > t} that stays in it at
tolerances 100 times tighter and with every weight changed by its rounding error; no level with less than 90 % is
reported.

(3, 2, 2, 3) violates the paper's Assumption 1, because its hidden layers are narrower than d_y; 3-2-2-2 takes its
place.

"""
SLOPE = """
slope: -d log P / d log t over the last three levels (H = 1: -d log P / dt); expected: the asymptotic value of
theory.md 5, which is reached slowly.

![log P against t, and against g](pictures/tail.png)

Bands: 95 % intervals. Crosses: values that are known exactly.
"""
METHOD = """
## How

- Sets are exact to the integration's accuracy: the engine's last step ends at t, and T > t is that the level was not
  passed. T itself, refined after the stop, only places the pilot's levels.
- A pilot takes the times at which a fifth is left, and sizes that are accepted once in four. Times, sizes and the
  pilot's chains are constants of the replicates, so that each replicate's product of shares is unbiased, whatever its
  chains' mixing.
- Three moves in equal shares, in the coordinates in which the law is standard normal: pCN, a random walk with the
  covariance of the pilot's chains at the level, differences of two of them. Each chain's step has a factor of its own
  from 1/4 to 4. K-S tests hold each move to an exactly known conditional law (tests/rare/test_chains.py).
- Partners from a chain's own run, as ensemble samplers take them, are wrong in splitting: half of the population holds
  copies of the other half. At width 4 and P = 1e-5 100 chains with difference moves alone read 2.3 times P, 800 with
  all moves at 1e-7 1.10 (+- 0.04) times (tests/rare/test_splitting.py keeps it so).
- `from` is how many of a replicate's first draws have descendants. Where it collapses, positions along the stable
  manifold are those of few ancestors; replicates then differ by more than a run sees from inside (`s` against `within`)
  and the interval, which is of the replicates alone, widens.

## What buys accuracy

From the fourth level on, chains do not move along the manifold (`still`, the autocorrelation over a level's sweeps,
is 1.00), because a step that stays in a curved tube is as short as the tube is wide. Within the tube they mix. So the
spread comes from the small number of ancestors that sample the manifold, and a larger population helps more than more
sweeps. The table gives the deviation s of log P between replicates (`--target 1e-6 --replicates 16`, which determines
s to a fifth), and the CPU seconds of all replicates:

| | chains x sweeps | P | s | time |
|---|---|---|---|---|
| 2-2-2-2 | 300 x 10 | 4.9e-6 | 0.53 | 15 |
| | 1,000 x 3 | 3.1e-6 | 0.74 | 17 |
| | 1,000 x 10 | 1.6e-6 | 0.52 | 35 |
| 3-3-3-3 | 300 x 10 | 5.2e-7 | 1.20 | 55 |
| | 300 x 40 | 1.6e-6 | 0.80 | 133 |
| | 1,200 x 10 | 7.9e-7 | 0.46 | 159 |

H = 1 needs more chains than H = 2. There P falls exponentially, at a rate that varies along the manifold (on 2-2-2
the slope falls from 1.5 to 0.26), so the few chains at places where the rate is small take over. At 1e-12 the 16,000
chains of 2-2-2 have 18 ancestors, and s = 1.17. Its first eight replicates gave a bound of 1.9e-11, so eight more
were added.

## Against counting

The table compares plain Monte Carlo (examples/plain_tail.toml: 10^9 starts of 2-2-2-2, 10^8 of 2-2-2 and of 3-2-2-2;
`python benchmarks/plain_tail.py RUN 23.88 42.76 ...`) with the rows below, at their times (for 3-2-2-2 with a run of
1,000 chains):

| | t | counted | P(T > t) | 95 % interval | by splitting |
|---|---|---|---|---|---|
| 2-2-2 | 6.812 | 32,602 | 3.26e-4 | [3.22e-4, 3.30e-4] | [3.12e-4, 3.33e-4] |
| | 8.946 | 6,617 | 6.62e-5 | [6.46e-5, 6.78e-5] | [6.26e-5, 6.91e-5] |
| | 11.54 | 1,268 | 1.27e-5 | [1.20e-5, 1.34e-5] | [1.18e-5, 1.35e-5] |
| | 14.5 | 236 | 2.36e-6 | [2.07e-6, 2.68e-6] | [2.25e-6, 2.65e-6] |
| | 17.66 | 49 | 4.9e-7 | [3.6e-7, 6.5e-7] | [4.7e-7, 5.7e-7] |
| 3-2-2-2 | 26.72 | 7,597 | 7.60e-5 | [7.43e-5, 7.77e-5] | [6.31e-5, 8.59e-5] |
| | 47.66 | 1,597 | 1.60e-5 | [1.52e-5, 1.68e-5] | [1.26e-5, 1.83e-5] |
| | 89.14 | 336 | 3.36e-6 | [3.01e-6, 3.74e-6] | [2.80e-6, 5.15e-6] |
| | 183.1 | 84 | 8.4e-7 | [6.7e-7, 1.04e-6] | [6.1e-7, 1.44e-6] |
| | 386.2 | 15 | 1.5e-7 | [8.4e-8, 2.5e-7] | [1.17e-7, 3.49e-7] |
| 2-2-2-2 | 23.88 | 66,914 | 6.69e-5 | [6.64e-5, 6.74e-5] | [6.21e-5, 7.14e-5] |
| | 42.76 | 14,312 | 1.43e-5 | [1.41e-5, 1.46e-5] | [1.29e-5, 1.59e-5] |
| | 84.22 | 2,879 | 2.88e-6 | [2.77e-6, 2.99e-6] | [2.75e-6, 3.70e-6] |
| | 188.9 | 566 | 5.66e-7 | [5.20e-7, 6.15e-7] | [5.34e-7, 7.83e-7] |
| | 394.9 | 119 | 1.19e-7 | [9.9e-8, 1.42e-7] | [1.08e-7, 1.67e-7] |

Every count is inside its interval, but the levels of one row are correlated. The ratio of the mean of 40 replicates of
300 chains to the count of 2-2-2-2 at t = 23.43, 40.24 and 78.25 is 1.12, 1.11 and 1.12 (+- 0.08, 0.10, 0.13;
tests/rare/test_splitting.py).

## Moves that were tried and are not built

Moves from the flow's linearisation were tried, built, and taken out again, for they do not pay. They stepped in the
frame of the Hessian at a later time, pulled back to the start through the tangent flow: s across its steep directions,
sqrt(s) along the others, the frame of either end in the acceptance, so the law is kept exactly. But a step along the
manifold is still as short as the square root of the tube's width, and the frames cost n flights each. On 2-2-2-2, 300
chains x 10 sweeps, 16 replicates: s = 0.95 at P = 1.1e-6 with all moves of this kind, for 60 s of CPU; 0.53 at 4.9e-6
without, for 15 s. A tail that was made with some of them (`linearised` in its tail.json) can be read, not continued.

Frames of other places are cheap (the survivors' own, found once a level: a fifth more time) and were wrong: s fell to
0.84 at 2e-9, but the mean of 100 replicates was 1.3, 1.5 and 1.9 times the count at t = 23, 40 and 78. Given the
frames of the survivors, of which they are copies, chains do not begin with the law that the moves keep.

Moves projected back onto the level set of the unstable coordinates (Zappa, Holmes-Cerfon, Goodman, Comm. Pure Appl.
Math. 71, 2018) were tried and are not included. The coordinates were the layers' smallest singular values at a time
t_0, with their gradients by the adjoint flow. On 2-2-2-2 at 5e-6, steps of 0.8 standard deviations are accepted once
in four, and the autocorrelation falls to 0.975, but this takes 3.6 times the evaluations and gives no smaller s at
the same cost. On 2-2-2 below 1e-9 and on 3-3-3-3 the steps still shrink, because the level sets of these values are
not those of T: they predict log T only to 0.75 (3-3-3-3 at 3e-10, t_0 = 40; its own deviation is 0.34).

The exact time of the scalar chain (theory.md 6.2) does predict it, to 0.09, with x_l = s_l / n_l for weights and sigma
prod_l n_l prod_{i < d_y} s_{l,i} / (sigma_1 ... sigma_{d_y - 1}) for sigma. Here n_l is the length of u v^T, the
derivative of s_l, without its part in the span of the gradients of the fitted modes' products: the metric of the slow
manifold.

"""


PAGE = ROOT / "docs/tail.md"
COLUMNS = "| run | widths | H | law | chains | t | P(T > t) | 95 % interval | saddle measure below | slope | expected |"
NEAR_COLUMNS = COLUMNS.replace("| t | P(T > t)", "| g | P(G < g)").replace("saddle measure", "measure")
NEAR = """
## Closest approach to a stratum

    basins tail docs/tables/tail.toml --case 2-2-2-2 --stratum 3 --out "RUNS/2-2-2-2 near I(3)" --target 3e-13

G is the gradient norm where the loss passes the stratum's critical value (basins/rare/approach.py). It is zero for
starts that converge to the stratum, so P(G < g) bounds the measure of its basin alone. `expected`:
basins/rare/exponents.py, for S = {1..r}; the other strata are strict saddles, with more unstable directions.

"""


def main(runs: Path) -> None:
    """What RUNS has no run of stays on the page as it was; the picture is drawn from the page."""
    tails = {folder.name: read_tail(folder)[0] for folder in sorted(runs.iterdir()) if (folder / "tail.json").exists()}
    rows, sections = there(PAGE.read_text())
    kept = [name for name in sections if name not in tails]
    for name, tail in tails.items():
        rows[name], sections[name] = summary(name, tail), "".join(levels(name, tail))
    near = sorted(name for name in rows if is_near(name))
    far = sorted(set(rows) - set(near))
    page = [HEAD, *table(COLUMNS, map(rows.get, far)), SLOPE]
    page += [NEAR, *table(NEAR_COLUMNS, map(rows.get, near))] if near else []
    PAGE.write_text("".join([*page, METHOD, *(f"## {name}\n\n{sections[name]}" for name in (*far, *near))]))
    draw(rows, sections)
    print(f"written: {', '.join(tails)}; kept as they were: {', '.join(kept) or 'none'}")


def is_near(name: str) -> bool:
    """Whether a run is of G: its folder is named "CASE near I(J)"."""
    return " near " in name


def table(columns: str, rows: Iterable[str | None]) -> list[str]:
    """The lines of a summary."""
    return [f"{line}\n" for line in (columns, "|---" * columns.count(" | ") + "|---|", *rows)]


def there(page: str) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of the summary and the sections of the page, by run."""
    lines = [*table_of(page, COLUMNS), *table_of(page, NEAR_COLUMNS)]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
    found = re.split(r"^## (.+)\n\n", page, flags=re.MULTILINE)
    sections = dict(zip(found[1::2], found[2::2], strict=True))
    return rows, {name: text for name, text in sections.items() if name in rows}


def table_of(page: str, columns: str) -> list[str]:
    """The lines of the page's table with these columns, without its head."""
    lines = iter(page.splitlines())
    for line in lines:
        if line == columns:
            break
    next(lines, None)
    return list(takewhile(lambda line: line.startswith("|"), lines))


def summary(name: str, tail: CaseTail) -> str:
    case, last = tail.case, tail.last
    assert last is not None
    H = case.problem.H
    chains = f"{tail.plan.population:,} x {tail.plan.sweeps}"
    if tail.replicates != REPLICATES:
        chains += f", {tail.replicates} replicates"
    interval = f"[{last.lower:.2g}, {last.upper:.2g}]" if last.bounded else "none"
    slope = np.mean([formatting.slope(tail, level) for level in tail.levels[-3:]])
    return (
        f"| {name} | {'-'.join(map(str, case.problem.widths))} | {H} | {case.law.name} "
        f"{case.law.parameters()['scale']:g} | {chains} | {last.threshold:.4g} | "
        f"{last.P:.3g} | {interval} | {at_most(last.bound) if last.bounded else 'none'} | "
        f"{slope:.2f}{' (rate)' if H == 1 and tail.stratum is None else ''} | "
        f"{'' if tail.expected is None else f'{tail.expected:g}'} |"
    )


def levels(name: str, tail: CaseTail) -> list[str]:
    problem, chain = tail.case.problem, set(tail.case.problem.widths) == {1}
    truth = chain and (tail.stratum is None or problem.H < 3)
    headings = [*formatting.headings(tail.stratum), *(["truth"] if truth else [])]
    lines = [f"| {' | '.join(headings)} |\n", "|---" * len(headings) + "|\n"]
    inside = 0
    for level in tail.levels:
        cells = list(formatting.row(tail, level))
        if truth:
            known = (survival if tail.stratum is None else nearer)(problem, 1.0, level.threshold)
            hit = level.lower <= known <= level.upper
            inside += hit
            cells.append(f"{known:.3g}{'' if hit or not level.bounded else ' outside'}")
        lines.append(f"| {' | '.join(cells)} |\n")
    lines.append("\n")
    lines += [f"{said}\n\n" for said in formatting.sentences(tail)]
    lines += [f"Warning: {said}.\n\n" for said in tail.warnings]
    if truth:
        lines.append(
            f"The truth is inside {inside} of {sum(level.bounded for level in tail.levels)} intervals (levels of a run "
            "are not independent).\n\n"
        )
    return lines


@styled
def picture(rows: dict[str, str], sections: dict[str, str]) -> Figure:
    """log P against t or g with its interval, as the page's sections have them; what is known as crosses."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for name in sorted(sections):
        H = int(rows[name].split(" | ")[2])
        panel = panels[2 if is_near(name) else int(H > 1)]
        k = sum(label != "exact" for label in panel.get_legend_handles_labels()[1])
        levels = [line.strip("|\n ").split(" | ") for line in sections[name].splitlines() if re.match(r"\| \d", line)]
        x, P = (np.array([float(level[column]) for level in levels]) for column in (1, 2))
        ends = [["nan"] * 2 if level[3] == "none" else re.findall(r"[\d.e+-]+", level[3]) for level in levels]
        low, high = np.array(ends, dtype=float).T
        panel.plot(x, P, markersize=3.5, label=name, **look(k))
        panel.fill_between(x, low, high, color=COLOURS[k % 7], alpha=0.2, linewidth=0)
        if "| truth |" in sections[name]:
            known = [float(level[-1].removesuffix(" outside")) for level in levels]
            panel.plot(x, known, "x", color="black", markersize=5)
    titles = ("T, H = 1", "T, H = 2 and 3", "G, closest approach")
    for panel, title, label in zip(panels, titles, ("t", "t", "g"), strict=True):
        logarithmic(panel, "y" if title == titles[0] else "xy")
        panel.set(xlabel=label, title=title)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, ncols=1 if title == titles[2] else 2)
    panels[2].invert_xaxis()
    panels[0].set_ylabel("P(T > t), P(G < g)")
    return figure


def draw(rows: dict[str, str], sections: dict[str, str]) -> None:
    """docs/pictures/tail.png, in the style of the figures of a run."""
    (ROOT / "docs/pictures/tail.png").write_bytes(encoded(picture(rows, sections), "png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
