"""Default members of a landscape (basins/landscapes/defaults.py): read from its fields, and claiming the least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from many_wells import ManyWells

from basins.classification.classify_batch import integrate_batch
from basins.errors import ArgumentError
from basins.integrators.base import Settings
from basins.landscapes.base import Array, CriticalSet, RestScale, Verdict
from basins.landscapes.defaults import CriticalSetsDefaults, LandscapeDefaults


class TiltedSets(CriticalSetsDefaults):
    """A saddle of value 0.5, a local minimum of 0.4 and a global one of 0.1."""

    def listed(self) -> Sequence[CriticalSet]:
        return [
            CriticalSet(4, "saddle", 0.5, 0, "strict saddle", 1),
            CriticalSet(2, "local minimum", 0.4, 0, "local minimum", 2),
            CriticalSet(1, "minimum", 0.1, 0, "global minimum", 3),
        ]

    def nearest(self, W: Array) -> Any:
        return np.ones(len(W), dtype=np.uint64)

    minimum_of = nearest

    def loss_at_most(self, W: Array, loss: Array) -> Array:
        return loss


@dataclass(frozen=True)
class Tilted(LandscapeDefaults):
    n: int
    width: float
    name: str = "tilted"

    @property
    def rest(self) -> RestScale:
        return RestScale(1)

    @property
    def critical(self) -> TiltedSets:
        return TiltedSets(self)

    def loss_and_gradient(self, W: Any) -> tuple[Array, Array]:
        return (np.asarray(W) ** 2).sum(axis=-1), 2 * np.asarray(W)

    def hessian(self, W: Any) -> Array:
        return 2 * np.broadcast_to(np.eye(self.n), (*np.shape(W)[:-1], self.n, self.n))


def test_level_is_the_least_value_that_is_no_global_minimum() -> None:
    """Of a local minimum too; the margin is of its height above the global minimum."""
    critical = Tilted(1, 2.0).critical
    assert critical.level(0.0) == pytest.approx(0.4)
    assert critical.level(0.5) == pytest.approx(0.1 + 0.5 * 0.3)
    assert critical.levels(np.zeros((2, 1)), 0.25) == pytest.approx([0.25, 0.25])
    assert (critical.code_bits, critical.global_minimum, critical.count()) == (3, 1, 3)
    assert critical.describe(2).name == "local minimum"


def test_fields_are_the_keys_of_the_table() -> None:
    made = Tilted.from_table({"n": 2, "width": 3})
    assert made == Tilted(2, 3.0)
    assert Tilted.from_dict(made.to_dict()) == made
    assert made.digest != Tilted(2, 4.0).digest
    assert made.digest == Tilted(2, 3.0).digest
    assert made.size_text == "Tilted, n = 2"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n": 2}, "width: Tilted needs it"),
        ({"n": 2, "width": 1.0, "hight": 2}, "hight: no such key"),
        ({"n": 2.0, "width": 1.0}, "n: 2.0"),
        ({"n": True, "width": 1.0}, "n: True"),
        ({"n": 2, "width": "wide"}, "width: 'wide'"),
    ],
)
def test_a_wrong_table_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        Tilted.from_table(values)


def test_a_row_beside_a_saddle_is_censored_when_its_budget_is_spent() -> None:
    """Nothing says that the row rests, because `settle` is not given, and no zeros prove a saddle."""
    start = np.array([[1e-200, 0.3]])
    settings = Settings(engine="reference", method="DOP853", budget=200)
    found = integrate_batch(ManyWells(2), start, settings, np.zeros(1, dtype=bool), wait=True)
    assert found.verdict[0] == Verdict.censored
