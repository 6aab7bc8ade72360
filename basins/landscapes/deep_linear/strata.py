"""The critical strata I(j) of the loss: modes, critical values, dimension and index.

A stratum is named by its fitted modes S, a subset of {0, ..., d_y - 1} (positions in sigma). S is kept as a bitmask,
bit i for sigma[i]. The critical value is 1/2 sum over S^c of sigma^2, the modes that are NOT fitted (theory.md 1.3; the
paper's page 13 says S).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.rounding import U

LISTABLE = 20
"""Up to this d_y the 2^d_y strata are put in order. Beyond it a stratum has no index j."""


def modes_to_mask(modes: Iterable[int]) -> int:
    """The bitmask of a set of modes: bit i stands for sigma[i]."""
    return sum(1 << int(i) for i in set(modes))


def mask_to_modes(mask: int) -> tuple[int, ...]:
    """The modes of a bitmask, ascending."""
    return tuple(i for i in range(int(mask).bit_length()) if int(mask) >> i & 1)


def dimension(widths: Sequence[int], rank: int) -> int | None:
    """d(r) = r d_1 + (d_1 - r) r + (d_1 - r)(d_x - d_y) for H = 1: dimension of I_S and nullity of the Hessian on it.

    The paper's eq. (27) has (d_y - r) twice where (d_1 - r) is meant (theory.md 1.2). For r = d_y it is the dimension
    of the set of global minima. None for H >= 2, where I_S is no manifold of one dimension.
    """
    if len(widths) != 3:
        return None
    d_x, d_1, d_y = widths
    return rank * d_1 + (d_1 - rank) * rank + (d_1 - rank) * (d_x - d_y)


def unstable_index(widths: Sequence[int], modes: Iterable[int]) -> int | None:
    """m_u = (d_1 - r)(d_y - r) + #{i in S, j not in S: sigma_j > sigma_i} for H = 1 (theory.md 2); None for H >= 2."""
    if len(widths) != 3:
        return None
    _, d_1, d_y = widths
    S = set(modes)
    r = len(S)
    # sigma falls with the position, so sigma_j > sigma_i means j < i.
    exchanges = sum(1 for i in S for j in range(i) if j not in S)
    return (d_1 - r) * (d_y - r) + exchanges


@dataclass(frozen=True)
class Stratum:
    """One critical stratum I(j).

    index: j, from 1 by falling loss, or None where 2^d_y is too many to order; modes: S, 0-based and ascending;
    rank: r = |S|; loss: the critical value, units of L; dimension: d(r) and unstable_index: m_u, for H = 1 only.
    `critical.indices` has all three indices of a stratum, `critical.unstable_rates` the rates at a point (H = 1), and
    `critical.inertia` the Hessian's signs at a point for any H.
    """

    index: int | None
    modes: tuple[int, ...]
    rank: int
    loss: float
    dimension: int | None
    unstable_index: int | None

    @property
    def mask(self) -> int:
        return modes_to_mask(self.modes)


class Strata(Sequence[Stratum]):
    """The strata of a problem in the paper's order: by falling loss, ties by bitmask. Each is built when it is asked
    for.

    `strata[0]` is I(1), `strata[-1]` the global minima I(2^d_y). `strata.of(modes)` finds one by its modes, for any
    d_y. Whatever needs the order raises ArgumentError for d_y > 20.
    """

    def __init__(self, sigma: NDArray[np.float64], widths: Sequence[int]) -> None:
        self.sigma, self.widths = sigma, tuple(widths)

    @property
    def d_y(self) -> int:
        return len(self.sigma)

    @property
    def listable(self) -> bool:
        return self.d_y <= LISTABLE

    def __len__(self) -> int:
        if self.d_y > 62:
            raise ArgumentError(f"2^{self.d_y} strata are more than Python's len can return", remedy="ask for 1 << d_y")
        return 1 << self.d_y

    @cached_property
    def critical_values(self) -> NDArray[np.float64]:
        """Critical values by bitmask, shape (2^d_y,), units of L. Raises ArgumentError for d_y > 20."""
        self._require_listable()
        return 0.5 * subset_sums(self.sigma)[::-1]  # the complement of mask m is the mask 2^d_y - 1 - m

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-self.critical_values, kind="stable")

    @cached_property
    def _rank_in_order(self) -> NDArray[np.int64]:
        place = np.empty_like(self._order)
        place[self._order] = np.arange(len(self._order))
        return place

    def loss(self, mask: int) -> float:
        """Critical value 1/2 sum_{S^c} sigma^2 of the stratum with this bitmask."""
        if self.listable:
            return float(self.critical_values[mask])
        unfitted = [self.sigma[i] ** 2 for i in range(self.d_y) if not mask >> i & 1]
        return 0.5 * float(np.sum(unfitted))

    def of(self, modes: Iterable[int] | int) -> Stratum:
        """The stratum that fits these modes (positions, or a bitmask). Raises ArgumentError for a mode that is not
        there.
        """
        if isinstance(modes, (int, np.integer)) and not isinstance(modes, bool):
            mask = int(modes)
        else:
            modes = tuple(modes) if isinstance(modes, Iterable) else (modes,)
            for mode in modes:
                if isinstance(mode, bool) or not isinstance(mode, (int, np.integer)):
                    what = f"mode {mode!r} is no position"
                    raise ArgumentError(what, where="modes", remedy="modes are 0-based positions in sigma")
            mask = modes_to_mask(modes) if min(modes, default=0) >= 0 else -1
        if not 0 <= mask < 1 << self.d_y:
            raise ArgumentError(
                f"modes {mask_to_modes(mask) if mask >= 0 else modes} are not all among 0..{self.d_y - 1}",
                remedy="modes are 0-based positions in sigma",
            )
        S = mask_to_modes(mask)
        return Stratum(
            index=int(self._rank_in_order[mask]) + 1 if self.listable else None,
            modes=S,
            rank=len(S),
            loss=self.loss(mask),
            dimension=dimension(self.widths, len(S)),
            unstable_index=unstable_index(self.widths, S),
        )

    def below(self, level: float) -> NDArray[np.int64]:
        """Bitmasks of the strata with a critical value below `level`, which a flow at that loss may still reach
        (theory.md 3a). Raises ArgumentError for d_y > 20."""
        return np.flatnonzero(self.critical_values < level)

    @overload
    def __getitem__(self, position: int) -> Stratum: ...
    @overload
    def __getitem__(self, position: slice) -> list[Stratum]: ...
    def __getitem__(self, position: int | slice) -> Stratum | list[Stratum]:
        if isinstance(position, slice):
            return [self.of(int(mask)) for mask in self._order_or_refuse()[position]]
        return self.of(int(self._order_or_refuse()[position]))

    def __iter__(self) -> Iterator[Stratum]:
        return (self.of(int(mask)) for mask in self._order_or_refuse())

    def _order_or_refuse(self) -> NDArray[np.int64]:
        self._require_listable()
        return self._order

    def _require_listable(self) -> None:
        if not self.listable:
            raise ArgumentError(
                f"2^{self.d_y} strata are too many to list or order (d_y > {LISTABLE})",
                remedy="ask for one stratum with strata.of(modes)",
            )

    def saddle(self, j: int) -> Stratum:
        """The saddle stratum I(j). Raises ArgumentError for a j that is not there, for the global minima's, and for
        d_y > 20."""
        if not self.listable:
            raise ArgumentError(
                f"d_y = {self.d_y}: 2^{self.d_y} strata are not put in order, so none is I(j)",
                where="stratum",
                remedy=f"ask where d_y is at most {LISTABLE}",
            )
        if not 1 <= j <= len(self):
            raise ArgumentError(f"there is no I({j})", where="stratum", remedy=f"give 1 to {len(self) - 1}")
        if j == len(self):
            raise ArgumentError(
                f"I({j}) are the global minima, which no direction leaves", where="stratum", remedy=f"give 1 to {j - 1}"
            )
        return self[j - 1]

    def of_value(self, stratum: Stratum) -> list[Stratum]:
        """All strata with the stratum's critical value to rounding (`_blur`), itself among them."""
        values = self.critical_values[self._order]
        return [self[int(at)] for at in np.flatnonzero(np.abs(values - stratum.loss) <= self._blur)]

    @property
    def _blur(self) -> float:
        """8 u times the whole sum 1/2 ||sigma||^2, u = 2^-53: the rounding error of the sums."""
        return 8 * U * float(self.critical_values[0])

    def tied_values(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Pairs of mode sets with one critical value to rounding (Assumption 4 fails); d_y <= 20, at most 8 pairs.

        Tied means to within `_blur`.
        """
        values = self.critical_values[self._order]
        at = np.flatnonzero(-np.diff(values) <= self._blur)[:8]
        return [(mask_to_modes(int(self._order[k])), mask_to_modes(int(self._order[k + 1]))) for k in at]


def subset_sums(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """sum over S of sigma^2 for every bitmask S, shape (2^d_y,), by doubling: one addition a subset."""
    sums = np.zeros(1)
    for s in sigma:
        sums = np.concatenate([sums, sums + s * s])
    return sums
