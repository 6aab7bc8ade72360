"""`make bench`: basins and its peers side by side in one run; writes results.md, and keeps what its lower half says.

    OMP_NUM_THREADS=1 python benchmarks/run.py --peers PYTHON [--out benchmarks/results.md] [--only K ...]

Same problem, same starts, same stop for all; one core each; rates are trajectories a second of CPU time (user and
system), the best of several turns. A peer's rate at our error is read off its curve of rate against rms state error
at t = 1, over its tolerances, in logarithms. The peers run one after the other in a process of their own environment;
ours are measured again between them, and the best counts.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import ours
from peers.common import best

HERE = Path(__file__).parent
BY_HAND = "<!-- by hand from here on: make bench keeps it -->"
CASES = (
    ((2, 2, 2, 2), 0.5),
    ((4, 4, 3), 1.0),
    ((5, 4, 4, 3), 0.5),
    ((8, 8, 8, 8, 4), 0.5),
    ((16, 20, 10), 0.5),
)
TIMES = (0.5, 1.0)
TOLERANCES = {"scipy": (1e-6, 1e-8, 1e-10), "heyoka": (1e-6, 1e-8, 1e-9), "diffrax": (1e-6, 1e-8, 1e-10)}


def ask(python: str, peer: str, task: dict, *more: str) -> list[dict]:
    """A peer's answer, or nothing with a line that says why."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        np.savez(path, **task, tolerances=TOLERANCES[peer])
        command = [python, str(HERE / "peers" / f"with_{peer}.py"), str(path), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{peer} failed: {done.stderr[-2000:]}", file=sys.stderr)
        return []
    return json.loads(done.stdout.splitlines()[-1])


def at_error(rows: list[dict], error: float) -> float:
    """The rate at an error at t = 1, on the line through the two tolerances nearest to it in logarithms."""
    points = sorted((np.log(row["error"][1]), np.log(row["rate"])) for row in rows)
    x = np.log(error)
    (x0, y0), (x1, y1) = sorted(points, key=lambda point: abs(point[0] - x))[:2]
    if abs(x1 - x0) < 0.1:  # two tolerances, one error: its floor
        return float(np.exp(max(y0, y1)))
    return float(np.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0)))


def by_peer(case: dict) -> dict[str, list[dict]]:
    """A case's rows, by who made them."""
    peers: dict[str, list[dict]] = {}
    for row in case["rows"]:
        peers.setdefault(row["peer"], []).append(row)
    return peers


def rms(states: list[np.ndarray], exact: np.ndarray) -> list[float]:
    """Rms state error at each of the times."""
    return [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in zip(states, exact, strict=True)]


def run_case(python: str, widths: tuple[int, ...], scale: float) -> dict:
    """Everything measured on one case."""
    problem = ours.spectrum_problem(widths)
    compiling = ours.compile_seconds(problem)
    starts = ours.draw(problem, 4096 if problem.n < 100 else 1024, scale)
    probes = ours.draw(problem, 80, scale)[-16:]
    exact = np.array([ours.states_at(problem, probes, t, 1e-13, "reference") for t in TIMES])
    task = {
        "widths": widths,
        "sigma": problem.sigma,
        "level": ours.level(problem),
        "starts": starts,
        "probes": probes,
        "times": TIMES,
        "exact": exact,
    }
    turns = {tol: ours.lanes_to_level(problem, starts, tol) for tol in (1e-8, 1e-6)}
    lanes: list[dict] = []
    for tol in turns:
        states = [ours.states_at(problem, probes, t, tol) for t in TIMES]
        lanes.append({"peer": "basins lanes", "tol": tol, "error": rms(states, exact), "rate": 0.0})
    step, case = ours.step_rate(problem), {"gflops": 0.0, "dgemm": 0.0}

    def again() -> None:
        for row in lanes:
            row["rate"] = max(row["rate"], best(turns[row["tol"]], len(starts), 1.0))
        case["gflops"], case["dgemm"] = max(case["gflops"], step()), max(case["dgemm"], ours.dgemm_rate())

    again()
    states = [ours.states_at(problem, probes, t, 1e-8, "reference") for t in TIMES]
    reference = {"peer": "basins reference", "tol": 1e-8, "error": rms(states, exact)}
    reference["rate"] = best(ours.reference_to_level(problem, starts[:8]), 8, 1.0)
    peers: list[dict] = []
    for peer in TOLERANCES:
        peers += ask(python, peer, task)
        again()
    lanes[0]["note"] = (
        f"step {case['gflops']:.1f} GF/s = {100 * case['gflops'] / case['dgemm']:.0f} % of DGEMM; "
        f"compiles in {compiling:.2f} s"
    )
    threads = ask(python, "diffrax", task, "threads")
    return case | {
        "widths": widths,
        "scale": scale,
        "rows": [*lanes, reference, *peers],
        "threads": threads,
        "compiling": compiling,
        "first": first_row(widths),
        "spectra": spectra(widths, scale),
    }


def first_row(widths: tuple[int, ...]) -> list[float]:
    """Import, and first row, in CPU seconds: the best of three fresh processes, whose driver is cached on disk."""
    command = [sys.executable, "-W", "ignore", str(HERE / "first_row.py"), json.dumps(widths)]
    turns = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(4)]
    return min(turns[1:], key=sum)


def spectra(widths: tuple[int, ...], scale: float) -> str:
    """A row of the table of spectra: the linspace and five random data sets."""
    cells = []
    for problem in (ours.spectrum_problem(widths), *(ours.random_problem(widths, seed) for seed in range(5))):
        starts = ours.draw(problem, 2048 if problem.n < 100 else 512, scale)
        turn = ours.lanes_to_level(problem, starts)
        ends = turn()
        cells.append(f"{best(turn, len(starts), 0.3):,.0f} ({ends.evaluations.mean():.0f})")
    return f"| {widths}, {scale} | " + " | ".join(cells) + " |"


def rest() -> list[str]:
    """The table of rows at rest: near_planted on 2-2-2 at distance 1e-200, as their law has it, and waited beside."""
    lines = ["| rows at rest | settled at once, CPU s | waited for, CPU s | after the wait |", "|---|---|---|---|"]
    for what, count, (settled, waited, after) in ours.at_rest():
        lines.append(f"| {count:,} {what} | {settled:.2f} | {waited:.2f} | {after} |")
    return lines


def machine() -> str:
    """The machine, in words: no host name, no path."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    model = " ".join(f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields)
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in fields.get("flags", "").split()), "-")
    return (
        f"{fields.get('model name', platform.processor())} ({model}), {os.cpu_count()} cores, "
        f"{fields.get('cpu MHz', '?')} MHz by the kernel, {fields.get('cache size', '?')} second-level cache, "
        f"{widest}, {platform.system()} {platform.machine()}"
    )


PEERS = ("heyoka", "diffrax", "jax", "jaxlib", "scipy", "numpy")


def versions(python: str, names: tuple[str, ...] = PEERS) -> str:
    """Versions of ours and of the peers."""
    code = "import importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in %r))"
    peers = subprocess.run([python, "-c", code % (names,)], capture_output=True, text=True, check=True).stdout.strip()
    mine = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "scipy", "numba", "llvmlite"))
    return f"Python {platform.python_version()}; ours: {mine}; peers: {peers}"


def table(cases: list[dict]) -> list[str]:
    """The tables: every row; both cores; first rows."""
    lines = [
        "| widths, scale | who | rtol | rms error t = 0.5, 1 | trajectories/s | lanes are faster | at our error | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        lanes = case["rows"][0]
        peers = by_peer(case)
        name = f"{case['widths']}, {case['scale']}"
        for row in case["rows"]:
            matched = ""
            mine = peers[row["peer"]]
            if row is mine[0] and len(mine) > 2:
                rate = at_error(mine, lanes["error"][1])
                matched = f"{rate:,.0f}/s: **{lanes['rate'] / rate:,.1f} x**"
            errors = ", ".join(f"{error:.1e}" for error in row["error"])
            lines.append(
                f"| {name} | {row['peer']} | {row['tol']:.0e} | {errors} | {row['rate']:,.0f} "
                f"| {lanes['rate'] / row['rate']:,.1f} x | {matched} | {row.get('note', '')} |"
            )
    lines += ["", "diffrax on every core, by the wall clock (rtol 1e-8; XLA's own threads):", ""]
    lines += ["| widths, scale | solver | trajectories/s | |", "|---|---|---|---|"]
    for case in cases:
        for row in case["threads"]:
            lines.append(f"| {case['widths']}, {case['scale']} | {row['peer']} | {row['rate']:,.0f} | {row['note']} |")
    lines += ["", "A new shape in a fresh process, driver cached on disk, in CPU seconds:", ""]
    lines += ["| widths | kernel compiles | first row | imports before it |", "|---|---|---|---|"]
    for case in cases:
        imports, first = case["first"]
        lines.append(f"| {case['widths']} | {case['compiling']:.2f} | {first:.2f} | {imports:.2f} |")
    return lines


def asked(description: str | None, out: Path) -> argparse.Namespace:
    """What a benchmark beside peers is asked for: peers, out, only."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--only", type=int, nargs="*", help="these cases, by number")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: one core each is what is compared")
    return arguments


def main() -> None:
    arguments = asked(__doc__, HERE / "results.md")
    cases: list[dict] = []
    resting = rest()
    print(*resting, sep="\n", flush=True)
    for widths, scale in [CASES[k] for k in arguments.only or range(len(CASES))]:
        cases.append(run_case(arguments.peers, widths, scale))
        print(*table(cases[-1:]), sep="\n", flush=True)
        arguments.out.with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")
        write(cases, resting, arguments)


def write(cases: list[dict], resting: list[str], arguments: argparse.Namespace) -> None:
    """results.md: the upper half anew, the lower half as it was."""
    dgemm = max(case["dgemm"] for case in cases)
    old = arguments.out.read_text() if arguments.out.exists() else ""
    kept = old.split(BY_HAND, 1)[1] if BY_HAND in old else "\n"
    head = [
        "# basins and its peers, side by side",
        "",
        f"{machine()}; DGEMM {dgemm:.1f} GF/s a core. {versions(arguments.peers)}.",
        "",
        "By `make bench` (`run.py` says how). Reduced flow, sigma = linspace(2, 0.5, d_y), Gaussian starts,",
        "atol = rtol / 100, to the loss level 1/2 sigma_min^2 (1 - 2e-6); one core each, CPU seconds, compiling",
        "excluded and stated. Read the ratios, not the rates.",
        "",
        *table(cases),
        "",
        "Lanes on other spectra, trajectories/s (and evaluations a trajectory): the reduced flow of random data,",
        "X (50, d_x), Y (50, d_y).",
        "",
        "| widths, scale | linspace | data 0 | data 1 | data 2 | data 3 | data 4 |",
        "|---|---|---|---|---|---|---|",
        *(case["spectra"] for case in cases),
        "",
        "Rows at rest beside a saddle of 2-2-2, sigma = (2, 1): a law with a density settles at once, a null law or",
        "`integrate(wait=True)` waits until the row leaves or the least positive double would have left twice.",
        "",
        *resting,
        "",
        BY_HAND,
    ]
    arguments.out.write_text("\n".join(head) + kept)


if __name__ == "__main__":
    main()
