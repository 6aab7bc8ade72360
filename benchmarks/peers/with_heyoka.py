"""heyoka's taylor_adaptive_batch with lane refill: its C++ loop runs until a lane meets the level, and that lane gets a
new state, its time and cooldown reset. Products in theory.md 7's association, like ours.
"""

from __future__ import annotations

import time

import heyoka as hy
import numpy as np
from common import Task, best, serve

hy.llvm_state.set_diskcache_enabled(False)  # or a second run would say that it compiles in no time
UNROLLED = 100
"""Up to so many components the step is unrolled; beyond, heyoka's compact mode, or it compiles for minutes."""

Matrix = list[list]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[hy.sum([x * y for x, y in zip(row, column, strict=True)]) for column in zip(*b, strict=True)] for row in a]


def transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def system(task: Task) -> tuple[list, object]:
    """The flow, and the event: 2 L - 2 par[0], par[0] the level."""
    layers = [
        [[hy.make_vars(f"w_{j}_{a}_{b}") for b in range(columns)] for a in range(rows)]
        for j, (rows, columns) in enumerate(task.shapes)
    ]
    products = [layers[-1]]
    for layer in layers[-2::-1]:
        products.append(times(products[-1], layer))
    target = task.target.tolist()
    F = [[s - x for s, x in zip(*rows, strict=True)] for rows in zip(target, products.pop(), strict=True)]
    event = hy.sum([x**2.0 for row in F for x in row]) - 2.0 * hy.par[0]
    equations = []
    for j, layer in enumerate(layers):
        last = j == len(layers) - 1
        slope = F if last else times(transposed(products.pop()), F)
        equations += [pair for rows in zip(layer, slope, strict=True) for pair in zip(*rows, strict=True)]
        F = F if last else times(F, transposed(layer))
    return equations, event


class Integrator:
    def __init__(self, task: Task, tol: float, lanes: int) -> None:
        equations, event = system(task)
        self.lanes, self.level = lanes, task.level
        start = time.process_time()
        self.ta = hy.taylor_adaptive_batch(
            equations,
            np.zeros((task.probes.shape[1], lanes)),
            tol=tol,
            pars=np.full((1, lanes), task.level),
            compact_mode=task.probes.shape[1] > UNROLLED,
            t_events=[hy.t_event_batch(event, direction=hy.event_direction.negative)],
        )
        self.compile = time.process_time() - start

    def clear(self) -> None:
        self.ta.set_time([0.0] * self.lanes)
        for lane in range(self.lanes):
            self.ta.reset_cooldowns(lane)

    def to_time(self, starts: np.ndarray, t: float) -> np.ndarray:
        self.ta.pars[:] = -1.0  # no event
        ends = np.empty_like(starts)
        for at in range(0, len(starts), self.lanes):
            self.clear()
            self.ta.state[:] = starts[at : at + self.lanes].T
            self.ta.propagate_until([t] * self.lanes)
            ends[at : at + self.lanes] = self.ta.state.T
        return ends

    def to_level(self, starts: np.ndarray) -> np.ndarray:
        ta, lanes, count = self.ta, self.lanes, len(starts)
        state, far, terminal = ta.state, [1e6] * lanes, {-1}  # -1: stopped by event 0
        ta.pars[:] = self.level
        self.clear()
        state[:] = starts[:lanes].T
        row, fresh, done = list(range(lanes)), lanes, 0
        ends = np.empty_like(starts)
        while done < count:
            ta.propagate_until(far)
            for lane, result in enumerate(ta.propagate_res):
                if int(result[0]) not in terminal:
                    continue
                if row[lane] >= 0:
                    ends[row[lane]] = state[:, lane]
                    done += 1
                row[lane] = fresh if fresh < count else -1
                state[:, lane] = starts[fresh if fresh < count else 0]
                fresh += 1
                at = ta.time.copy()
                at[lane] = 0.0
                ta.set_time(at)
                ta.reset_cooldowns(lane)
        return ends


def answer(task: Task) -> list[dict]:
    n = task.probes.shape[1]
    starts = task.starts[: 2000 if n <= UNROLLED else 200 if n < 300 else 80]
    lanes, rows = hy.recommended_simd_size(), []
    for tol in task.tolerances:
        one = Integrator(task, tol, lanes)
        states = [one.to_time(task.probes, t) for t in task.times]
        task.check(one.to_level(starts))
        mode = "compact mode, " if n > UNROLLED else ""
        note = f"{mode}order {one.ta.order}, {lanes} lanes, compiles in {one.compile:.1f} s"
        rate = best(lambda one=one: one.to_level(starts), len(starts), 4.0)
        rows.append({"peer": "heyoka batch", "tol": tol, "error": task.error(states), "rate": rate, "note": note})
    return rows


if __name__ == "__main__":
    serve(answer)
