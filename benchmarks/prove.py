"""`make bench-prove`: what a proved label costs, beside the trajectory it is about, and how far proofs reach.

    OMP_NUM_THREADS=1 python benchmarks/prove.py [--out benchmarks/prove.md] [--share 1.0]

CPU time of one core. Proofs: `basins.prove`, tier by tier, each on what the tiers before it left. Trajectories: the
lanes engine to the same level (`basins.integrate`, judgement included). --share: of the starts.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import flint
import numpy as np
from run import machine

import basins
from basins import Problem
from basins.landscapes.deep_linear.invariant_zeros import planted_zeros
from basins.proof import TIERS, Proof, enclosures, largest_ball, prove, tiers_for

HERE = Path(__file__).parent
TOGETHER = 64
"""Rows that are timed together where one row is timed: enough to fill the lanes."""

IRIS = [7.04699, 6.95940, 2.84384]
"""examples/iris.toml's singular values, to six digits."""


def spectrum(sigma: list[float], *widths: int) -> Problem:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:])


SHAPES = {
    "(2,2,2,2)": (spectrum([2.0, 1.0], 2, 2, 2), 4000),
    "(4,4,3)": (spectrum([3.0, 2.0, 1.0], 4, 4), 2000),
    "(5,4,4,3)": (spectrum([3.0, 2.0, 1.0], 5, 4, 4), 1000),
    "(4,4,4,3), iris": (spectrum(IRIS, 4, 4, 4), 1000),
    "(2,2,2,2,2)": (spectrum([2.0, 1.0], 2, 2, 2, 2), 500),
    "(8,8,8,8,4)": (spectrum([4.0, 3.0, 2.0, 1.0], 8, 8, 8, 8), 20),
}


def gaussian(problem: Problem, count: int, scale: float, seed: int = 1) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(count, problem.n))


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def chained(problem: Problem, starts: np.ndarray) -> list[tuple[str, int, Proof, float]]:
    """Tier by tier: name, starts tried, what was proved, CPU seconds."""
    left, found = starts, []
    for name in tiers_for(problem):
        if not len(left):
            break
        prove(problem, left[:1], tiers=name)
        begin = time.process_time()
        proof = prove(problem, left, tiers=name)
        found.append((name, len(left), proof, time.process_time() - begin))
        left = left[~proof.proved]
    return found


def lanes(problem: Problem, scale: float) -> float:
    """Microseconds of CPU a trajectory."""
    starts = gaussian(problem, 2048, scale, seed=2)
    basins.integrate(problem, starts[:64])
    return 1e6 * min(cpu(lambda: basins.integrate(problem, starts)) for _ in range(3)) / len(starts)


def longest_of(proof: Proof) -> str:
    """The largest T of what is proved."""
    return f"{proof.t[proof.proved].max():.3g}" if proof.proved.any() else ""


def shapes(share: float) -> list[str]:
    page = [
        "## By shape\n",
        "| widths | scale | starts | proved by B | C | D | E | unproved | ms each "
        "| a lanes trajectory, us | ratio | proofs a second "
        "| ms each in C | D | E | steps in B | growth in B: 50, 90 %, max | largest T proved by B | C | D | E |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (problem, count) in SHAPES.items():
        for scale in (0.5, 1.0):
            starts = gaussian(problem, max(1, int(count * share)), scale)
            tiers = {one[0]: one for one in chained(problem, starts)}
            proved = {tier: int(tiers[tier][2].proved.sum()) if tier in tiers else 0 for tier in TIERS}
            each = 1e3 * sum(one[3] for one in tiers.values()) / len(starts)
            slow = [f"{1e3 * tiers[t][3] / tiers[t][1]:.2g}" if t in tiers else "" for t in "CDE"]
            first = tiers["B"][2]
            growth = np.quantile(first.growth[first.proved], [0.5, 0.9, 1.0])
            longest = [longest_of(tiers[tier][2]) if tier in tiers else "" for tier in TIERS]
            one = lanes(problem, scale)
            page.append(
                f"| {name} | {scale:g} | {len(starts):,} | {' | '.join(f'{proved[t]:,}' for t in TIERS)} "
                f"| {len(starts) - sum(proved.values())} | {each:.3g} | {one:.3g} | {1e3 * each / one:.0f} "
                f"| {1e3 / each:,.0f} | {' | '.join(slow)} | {np.median(first.steps):.0f} "
                f"| {', '.join(f'{g:.1f}' for g in growth)} | {' | '.join(longest)} |"
            )
            print(page[-1], flush=True)
    return page


def reach(share: float) -> list[str]:
    """By scale, on (2,2,2,2): which tiers prove how many, and the longest time proved."""
    problem = SHAPES["(2,2,2,2)"][0]
    page = [
        "\n## By scale, on (2,2,2,2)\n",
        "Proved of those tried, and the largest T proved, tier by tier.\n",
        "| scale | starts | B | C | D | E | unproved | T in B | C | D | E |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scale, count in ((10.0, 200), (3.0, 500), (0.3, 1000), (0.1, 500), (0.03, 100), (0.01, 40), (1e-3, 10)):
        starts = gaussian(problem, max(1, int(count * share)), scale)
        tiers = {one[0]: one for one in chained(problem, starts)}
        shares, longest, left = [], [], len(starts)
        for tier in TIERS:
            proof = tiers[tier][2] if tier in tiers else None
            shares.append(f"{int(proof.proved.sum())} of {len(proof)}" if proof is not None else "")
            longest.append(longest_of(proof) if proof is not None else "")
            left -= int(proof.proved.sum()) if proof is not None else 0
        page.append(f"| {scale:g} | {len(starts)} | {' | '.join(shares)} | {left} | {' | '.join(longest)} |")
        print(page[-1], flush=True)
    return page


def beside_saddles() -> list[str]:
    """Planted starts of S = {0} on (2,2,2,2), moved by d: how many of 20 each tier proves."""
    problem, rng = SHAPES["(2,2,2,2)"][0], np.random.default_rng(1)
    start = gaussian(problem, 20, 0.5)
    start[:, planted_zeros(problem, (0,))] = 0.0
    direction = rng.normal(size=start.shape)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    page = [
        "\n## Beside a stable manifold\n",
        "Starts planted on S = {0} of (2,2,2,2), scale 0.5, moved by d in a random direction: proved of 20.\n",
        "| d | B | C | D | E |",
        "|---|---|---|---|---|",
    ]
    for d in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-14, 0.0):
        counts = [int(prove(problem, start + d * direction, tiers=tier).proved.sum()) for tier in TIERS]
        page.append(f"| {d:g} | {' | '.join(map(str, counts))} |")
        print(page[-1], flush=True)
    return page


def balls() -> list[str]:
    page = [
        "\n## The largest proved ball about a start\n",
        "| widths | scale | starts | radius: 2 % | 10 % | median | 90 % | median over the expected norm of a start |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, scale, count in (
        ("(2,2,2,2)", 0.5, 60),
        ("(2,2,2,2)", 1.0, 60),
        ("(4,4,3)", 1.0, 20),
        ("(5,4,4,3)", 0.5, 10),
    ):
        problem = SHAPES[name][0]
        radii = largest_ball(problem, gaussian(problem, count, scale, seed=3))
        parts = np.quantile(radii, [0.02, 0.1, 0.5, 0.9])
        size = scale * np.sqrt(problem.n)
        page.append(
            f"| {name} | {scale:g} | {count} | {' | '.join(f'{r:.1g}' for r in parts)} | {parts[2] / size:.1g} |"
        )
        print(page[-1], flush=True)
    return page


def in_flint(problem: Problem, steps: int, order: int, digits: int) -> float:
    """CPU seconds of the Taylor coefficients of `steps` steps in python-flint's intervals."""
    import sys

    sys.path.insert(0, str(HERE.parent / "tests" / "proof"))
    import oracle

    before, flint.ctx.prec = flint.ctx.prec, digits
    try:
        T, W = (
            oracle.exact(problem.target),
            [oracle.exact(layer) for layer in problem.unpack(gaussian(problem, 1, 0.5)[0])],
        )
        return steps * min(
            cpu(lambda: [oracle.coefficients(T, None, W, order) for _ in range(20)]) / 20 for _ in range(3)
        )
    finally:
        flint.ctx.prec = before


def repeat(problem: Problem, start: np.ndarray, tier: str) -> None:
    prove(problem, np.tile(start, (TOGETHER, 1)), tiers=tier)


def intervals() -> list[str]:
    page = [
        "\n## Beside intervals in Python\n",
        "The Taylor coefficients alone of the same steps, as matrices of python-flint's `arb`, called from Python: a "
        "proof there needs them at least. CAPD has no package on the Python index.\n",
        "| widths | tier | steps | order | bits | flint, ms | the whole proof here, ms | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ("(2,2,2,2)", "(5,4,4,3)"):
        problem = SHAPES[name][0]
        start = gaussian(problem, 1, 0.5)[0]
        for tier, order, bits in (("B", 12, 53), ("E", 28, 106)):
            steps = int(enclosures(problem, start, tier=tier).proof.steps[0])
            theirs = 1e3 * in_flint(problem, steps, order, bits)
            ours = 1e3 * min(cpu(partial(repeat, problem, start, tier)) / TOGETHER for _ in range(3))
            page.append(
                f"| {name} | {tier} | {steps} | {order} | {bits} | {theirs:.3g} | {ours:.3g} | {theirs / ours:.0f} |"
            )
            print(page[-1], flush=True)
    return page


HEAD = """# What a proved label costs, and how far proofs reach

{machine}. One core, CPU time. By `make bench-prove` (`prove.py` says how); docs/proofs.md has the tiers.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "prove.md")
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    page = [HEAD.format(machine=machine())]
    page += shapes(arguments.share) + reach(arguments.share) + beside_saddles() + balls() + intervals()
    arguments.out.write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
