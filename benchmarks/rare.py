"""`make bench-rare`: what a decade of P(T > t) costs, by `basins tail`, by plain Monte Carlo and by OpenTURNS.

    OMP_NUM_THREADS=1 python benchmarks/rare.py --peers PYTHON [--out benchmarks/rare.md] [--only K ...]

All estimate the same numbers, P(T > t) at a pilot's times t, and call the same function: starts carried to t by the
lanes engine. `basins tail`: replicates of splitting, a run gives every decade. OpenTURNS: SubsetSampling aimed at each
t anew, a level's points in one question over a pipe; its documented defaults, and the best of a few proposal ranges and
shares kept at 1e-4. Cost is that of 10 % error, evaluations x (cv / 0.1)^2, where cv is the coefficient of variation of
independent runs; plain Monte Carlo takes 100 / P starts, whose mean cost to t is measured. A method is not right where
its mean is off by a factor of 1.5 and three of its standard errors, or a run of it spends BUDGET.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from run import asked, machine, versions

from basins import Problem, laws
from basins.integrators.base import Settings
from basins.rare.certification_time import CertificationTime
from basins.rare.level_streams import Stream
from basins.rare.replicates import PILOT, Plan, SplittingLevel, next_level
from basins.rare.splitting_step import Learned, WhitenedCoordinate, first_population
from basins.rare.truth import survival
from basins.rare.whitening import Whitening

HERE = Path(__file__).parent
TARGET, SEED = 1e-12, 4
CHAINS, SWEEPS, KEEP, RUNS = 500, 10, 0.2, 12
THEIRS, BUDGET = 2000, 5e8
"""OpenTURNS' points a level; evaluations of the field after which a run of it is stopped."""
DEFAULTS = (2.0, 0.1)
TUNED = [(0.5, 0.1), (1.0, 0.1), (1.0, 0.3), (2.0, 0.3), (3.0, 0.2)]
"""Proposal range, share kept."""


@dataclass(frozen=True)
class Case:
    """A problem whose P(T > t) is asked for; known: whether by an integral too (truth.py)."""

    name: str
    problem: Problem
    rtol: float
    known: bool

    @property
    def reaction(self) -> WhitenedCoordinate:
        settings = Settings(rtol=self.rtol, atol=self.rtol / 100)
        return WhitenedCoordinate(
            Whitening(self.problem, laws.Gaussian(1.0)), CertificationTime(self.problem, settings)
        )


CASES = [
    Case("1-1-1", Problem.from_spectrum([1.0], d_x=1, hidden=[1]), 1e-8, True),
    Case("1-1-1-1", Problem.from_spectrum([1.0], d_x=1, hidden=[1, 1]), 1e-8, True),
    Case("2-2-2", Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=[2]), 1e-9, False),
    Case("2-2-2-2", Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=[2, 2]), 1e-6, False),
]


@dataclass(frozen=True)
class Spent:
    """What independent runs gave at one t: P (R,), evaluations and CPU seconds a run; stopped: of them, at BUDGET."""

    P: np.ndarray
    evaluations: float
    seconds: float
    stopped: int = 0

    @property
    def cv(self) -> float:
        mean = self.P.mean()
        return float(self.P.std(ddof=1) / mean) if mean > 0 else np.inf

    def right(self, P: float) -> bool:
        """Whether the mean is P's, as far as so many runs tell."""
        mean, error = self.P.mean(), self.P.std(ddof=1) / np.sqrt(len(self.P))
        near = 1 / 1.5 < mean / P < 1.5
        return not self.stopped and mean > 0 and (near or bool(abs(mean - P) < 3 * error and self.cv < 1))

    def for_ten_percent(self, spent: float) -> float:
        return spent * (self.cv / 0.1) ** 2


def ours(case: Case) -> tuple[list[float], list[Spent]]:
    """The pilot's times, and at each of them what `basins tail`'s replicates gave, their way there included."""
    key = laws.stream_key(case.problem, laws.Gaussian(1.0))
    plan = Plan(TARGET, CHAINS, KEEP, SWEEPS, SEED)
    pilot = levels_of(case.reaction, plan, key, PILOT, None)
    times = np.array([level.threshold for level, _, _ in pilot if level.result.p > 0])
    learned = [learned for _, _, learned in pilot]
    runs = [levels_of(case.reaction, plan, key, number, (times, learned)) for number in range(1, RUNS + 1)]
    depth = min(len(run) for run in runs)
    spent = []
    for k in range(depth):
        P = np.exp([run[k][0].log_P for run in runs])
        evaluations = np.mean([sum(level.result.evaluations for level, _, _ in run[: k + 1]) for run in runs])
        seconds = np.mean([sum(seconds for _, seconds, _ in run[: k + 1]) for run in runs])
        spent.append(Spent(P, float(evaluations), float(seconds)))
    return list(times[:depth]), spent


def levels_of(
    reaction: WhitenedCoordinate, plan: Plan, key: int, number: int, pilot: tuple[np.ndarray, list[Learned]] | None
) -> list[tuple[SplittingLevel, float, Learned]]:
    """A replicate's levels, the CPU seconds of each, and what it learned there. pilot: its times, what it learned."""
    population = first_population(reaction, plan.population, Stream(plan.seed, key, number, 0))
    found: list[tuple[SplittingLevel, float, Learned]] = []
    at = None
    times, learned = (None, []) if pilot is None else pilot
    while at is None or not at.ending:
        begun, of = time.process_time(), learned[len(found)] if learned else None
        population, at = next_level(reaction, plan, key, number, population, at, times, of)
        found.append((at, time.process_time() - begun, Learned(population.z.copy(), dict(population.sizes))))
    return found


def theirs(python: str, case: Case, t: float, proposal_range: float, keep: float) -> Spent:
    """RUNS of SubsetSampling at t."""
    reaction, P, evaluations, seconds, stopped = case.reaction, [], 0, 0.0, 0
    for seed in range(1, RUNS + 1):
        asked = {"n": case.problem.n, "t": t, "chains": THEIRS, "proposal_range": proposal_range, "keep": keep}
        command = [python, str(HERE / "peers" / "with_openturns.py"), json.dumps(asked | {"seeds": [seed]})]
        spent, begun = 0, time.process_time()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
            assert peer.stdin is not None
            assert peer.stdout is not None
            while (M := int(np.frombuffer(peer.stdout.read(8), dtype=np.int64)[0])) and spent < BUDGET:
                z = np.frombuffer(peer.stdout.read(8 * M * case.problem.n)).reshape(M, case.problem.n)
                membership = reaction.at(z, t)
                spent += membership.evaluations
                peer.stdin.write(np.where(membership.inside, 2 * t + 1, membership.value).tobytes())
                peer.stdin.flush()
            if M:
                peer.kill()
                stopped += 1
            else:
                told = json.loads(peer.stdout.readline())
                P.append(told["runs"][0][0])
                seconds += told["seconds"]
        evaluations += spent
        seconds += time.process_time() - begun
    if len(P) < 2:
        P = [0.0, 0.0]
    return Spent(np.array(P), evaluations / RUNS, seconds / RUNS, stopped)


def plain(case: Case, t: float) -> tuple[float, float]:
    """Evaluations and CPU seconds of one start of the law, carried to t."""
    z = Stream(SEED, 1, 0, 0).normals(20_000, case.problem.n)
    reaction = case.reaction
    reaction.at(z[:100], t)
    begun = time.process_time()
    membership = reaction.at(z, t)
    return membership.evaluations / len(z), (time.process_time() - begun) / len(z)


def decades(spent: list[Spent]) -> list[int]:
    """The first level at or below each even power of ten, and the last."""
    means = [one.P.mean() for one in spent]
    found = [next((k for k, P in enumerate(means) if 10.0**-e >= P), None) for e in range(2, 13, 2)]
    return sorted({k for k in found if k is not None} | {len(means) - 1})


def run_case(python: str, case: Case, say: Callable[[str], None]) -> list[str]:
    """The table of a case."""
    times, mine = ours(case)
    at = decades(mine)
    tune = next((k for k in at if mine[k].P.mean() <= 1e-4), at[0])
    tried = {setting: theirs(python, case, times[tune], *setting) for setting in TUNED}
    best = min(tried, key=lambda setting: tried[setting].for_ten_percent(tried[setting].evaluations))
    lines = [
        f"## {case.name}",
        "",
        f"OpenTURNS tuned: proposal range {best[0]:g}, {best[1]:g} kept (defaults {DEFAULTS[0]:g}, {DEFAULTS[1]:g}).",
        "",
        "| P(T > t) | t | tail: mean / P | cv | evaluations for 10 % | CPU s | plain Monte Carlo | tail is cheaper "
        "| OpenTURNS: mean / P, cv | for 10 % | tuned: mean / P, cv | for 10 % |",
        "|---" * 12 + "|",
    ]
    for k in at:
        t, tail = times[k], mine[k]
        P = survival(case.problem, 1.0, t) if case.known else float(tail.P.mean())
        a_start, seconds = plain(case, t)
        cost, by_chance = tail.for_ten_percent(tail.evaluations), 100 / P * a_start
        cells = [f"{P:.2e}", f"{t:.4g}", f"{tail.P.mean() / P:.2f}", f"{tail.cv:.2f}", f"{cost:.2g}"]
        cells += [f"{tail.for_ten_percent(tail.seconds):.2g}", f"{by_chance:.2g} ({100 / P * seconds:.2g} s)"]
        cells += [f"{by_chance / cost:.2g} x"]
        for setting in (DEFAULTS, best):
            other = theirs(python, case, t, *setting)
            if other.stopped:
                cells += [f"{other.stopped} of {RUNS} spent {BUDGET:.0e}", "-"]
                continue
            cells += [f"{other.P.mean() / P:.2g}, {other.cv:.2f}"]
            right = other.right(P)
            cells += [f"{other.for_ten_percent(other.evaluations):.2g}" if right else "not right"]
        lines.append(f"| {' | '.join(cells)} |")
        say(lines[-1])
    return [*lines, ""]


def main() -> None:
    arguments = asked(__doc__, HERE / "rare.md")
    page = [HEAD.format(machine=machine(), versions=versions(arguments.peers, ("openturns", "numpy")))]
    for case in [CASES[k] for k in arguments.only or range(len(CASES))]:
        print(case.name, flush=True)
        page += run_case(arguments.peers, case, lambda line: print(line, flush=True))
    old = arguments.out.read_text() if arguments.out.exists() else ""
    kept = old.split(BY_HAND, 1)[1] if BY_HAND in old else "\n"
    arguments.out.write_text("\n".join(page) + BY_HAND + kept)


BY_HAND = "<!-- by hand from here on: make bench-rare keeps it -->"
HEAD = f"""# What a decade of P(T > t) costs

{{machine}}. {{versions}}.

By `make bench-rare` (`rare.py` says how). `basins tail`: {CHAINS} chains x {SWEEPS} sweeps, {KEEP:g} kept, {RUNS} runs.
OpenTURNS SubsetSampling: {THEIRS:,} points a level, {RUNS} runs a number. Both, and plain Monte Carlo, carry starts
to t by the same engine on one core; evaluations are of the flow's field. P: exact for scalar chains, else the tail's.
cv: between runs. "For 10 %": what brings the deviation of an estimate to a tenth of it.
"""

if __name__ == "__main__":
    main()
