"""diffrax: jit of vmap of diffeqsolve with a terminal event, in its best form: products as `@` or as sums are
tried first, then batch sizes, then the tolerances. With a second argument `threads`: on every core, by the wall clock.
"""

from __future__ import annotations

import os
import sys
import time

THREADS = "threads" in sys.argv
if not THREADS:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

# XLA reads its flags when it is imported
import diffrax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from common import Task, best, serve  # noqa: E402

jax.config.update("jax_enable_x64", True)
SOLVERS = {"Tsit5": diffrax.Tsit5(), "Dopri8": diffrax.Dopri8()}
PRODUCTS = {"@": lambda a, b: a @ b, "sums": lambda a, b: (a[:, :, None] * b[None, :, :]).sum(1)}


def solver(task: Task, method: str, product: str):
    """(starts, level, t_end, tol) -> states."""
    mul, target, shapes = PRODUCTS[product], task.target, task.shapes

    def split(w):
        layers, at = [], 0
        for rows, columns in shapes:
            layers.append(w[at : at + rows * columns].reshape(rows, columns))
            at += rows * columns
        return tuple(layers)

    def below(t, layers, level, **_):
        product = layers[-1]
        for layer in layers[-2::-1]:
            product = mul(product, layer)
        return 0.5 * jnp.sum((target - product) ** 2) < level

    def field(t, layers, level):
        products = [layers[-1]]
        for layer in layers[-2::-1]:
            products.append(mul(products[-1], layer))
        F, slope = target - products.pop(), []
        for layer in layers[:-1]:
            slope.append(mul(products.pop().T, F))
            F = mul(F, layer.T)
        return (*slope, F)

    def one(w, level, t_end, tol):
        end = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            SOLVERS[method],
            0.0,
            t_end,
            None,
            split(w),
            args=level,
            saveat=diffrax.SaveAt(t1=True),
            event=diffrax.Event(below),
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol / 100),
            max_steps=None,
            throw=False,
        )
        return jnp.concatenate([layer[0].ravel() for layer in end.ys])

    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))


def answer(task: Task) -> list[dict]:
    clock = time.perf_counter if THREADS else time.process_time
    many = 256 if task.starts.shape[1] <= 100 else 128
    all_starts = task.starts[: 4 * many if THREADS else many]

    def turn(solve, batch: int, tol: float) -> np.ndarray:
        parts = [all_starts[at : at + batch] for at in range(0, len(all_starts), batch)]
        return np.concatenate([np.asarray(solve(part, task.level, 1e6, tol)) for part in parts])

    rows: list[dict] = []
    for method in ("Tsit5",) if THREADS else SOLVERS:
        tried: dict[float, tuple] = {}

        def attempt(product: str, batch: int, solve, tried: dict = tried) -> None:
            start = time.process_time()
            task.check(turn(solve, batch, 1e-8))
            compiling = time.process_time() - start
            rate = best(lambda: turn(solve, batch, 1e-8), len(all_starts), 0.0, clock)
            tried[rate] = (solve, product, batch, compiling)

        for product in PRODUCTS:
            attempt(product, len(all_starts) if THREADS else 64, solver(task, method, product))
        solve, product, *_ = tried[max(tried)]
        for batch in (many // 2,) if THREADS else (16, many):
            attempt(product, batch, solve)
        solve, product, batch, compiling = tried[max(tried)]
        note = f"`{product}`, batches of {batch}, compiles and first batches {compiling:.1f} s"
        if THREADS:
            rows.append({"peer": f"diffrax {method}", "tol": 1e-8, "rate": max(tried), "note": note})
            continue
        for tol in task.tolerances:
            states = [np.asarray(solve(task.probes, -1.0, t, tol)) for t in task.times]
            rate = best(lambda s=solve, b=batch, tol=tol: turn(s, b, tol), len(all_starts), 0.0)
            rows.append(
                {"peer": f"diffrax {method}", "tol": tol, "error": task.error(states), "rate": rate, "note": note}
            )
    return rows


if __name__ == "__main__":
    serve(answer)
