"""scipy's solve_ivp with a lean field and a terminal event."""

from __future__ import annotations

import numpy as np
from common import Task, best, serve
from scipy.integrate import solve_ivp

METHODS = ("RK45", "DOP853", "LSODA")


class Field:
    """theory.md 7's association, with as little Python as it takes."""

    def __init__(self, task: Task) -> None:
        self.target, self.level = task.target, task.level
        self.parts, at = [], 0
        for rows, columns in task.shapes:
            self.parts.append((slice(at, at + rows * columns), (rows, columns)))
            at += rows * columns
        self.n = at

    def __call__(self, t: float, w: np.ndarray) -> np.ndarray:
        layers = [w[part].reshape(shape) for part, shape in self.parts]
        products = [layers[-1]]
        for layer in layers[-2::-1]:
            products.append(products[-1].dot(layer))
        F = self.target - products.pop()
        out, last = np.empty(self.n), len(layers) - 1
        for j, (part, shape) in enumerate(self.parts):
            if j == last:
                out[part] = F.ravel()
            else:
                np.dot(products.pop().T, F, out=out[part].reshape(shape))
                F = F.dot(layers[j].T)
        return out

    def event(self, t: float, w: np.ndarray) -> float:
        product = None
        for part, shape in reversed(self.parts):
            layer = w[part].reshape(shape)
            product = layer if product is None else product.dot(layer)
        E = (self.target - product).ravel()
        return 0.5 * E.dot(E) - self.level


def answer(task: Task) -> list[dict]:
    field, starts = Field(task), task.starts[:8]

    def event(t: float, w: np.ndarray) -> float:
        return field.event(t, w)

    event.terminal, event.direction = True, -1
    rows = []
    for method in METHODS:
        for tol in task.tolerances:
            options = {"method": method, "rtol": tol, "atol": tol / 100}

            def turn(options: dict = options) -> np.ndarray:
                return np.array([solve_ivp(field, (0, 1e6), w, events=event, **options).y[:, -1] for w in starts])

            states = [
                np.array([solve_ivp(field, (0, t), w, **options).y[:, -1] for w in task.probes]) for t in task.times
            ]
            task.check(turn())
            rows.append(
                {"peer": f"scipy {method}", "tol": tol, "error": task.error(states), "rate": best(turn, 8, 0.0)}
            )
    return rows


if __name__ == "__main__":
    serve(answer)
