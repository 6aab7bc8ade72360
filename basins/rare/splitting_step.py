"""One step of splitting: select the chains inside the next set, copy them, and move the copies apart.

A population is N points z inside a coordinate's set (coordinate.py), such as {T > t}. The share of the points that are
inside the next set, {T > t'}, estimates P(T > t' | T > t). These points are copied evenly until there are N again, and
every copy makes `sweeps` moves (proposals.py) that preserve the law given T > t' (resample and move: Cerou, Del Moral,
Furon, Guyader, Stat. Comput. 22, 2012). If thresholds and moves are fixed beforehand, the product of the shares is an
unbiased estimate of P(T > t), however well the chains mix. Here T and t stand for the coordinate and its threshold.

Therefore the partners and sizes of the moves are learned from another run, the pilot (`Learned`). The pilot itself
learns from its own chains: its halves take turns, one half moves and the other provides the partners, and a size is
adapted until the share of accepted moves over the whole population is ACCEPT. The halves have common ancestors, so
moves and chains depend on each other, and P comes out too large: 1.8 times at 1e-7 for the difference move alone, 200
chains and width 4 (tests/rare/test_splitting.py). So only thresholds and moves are taken from the pilot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from basins.integrators.base import Array
from basins.rare import proposals
from basins.rare.coordinate import Coordinate, Flags, SetMembership
from basins.rare.level_streams import Stream
from basins.rare.proposals import Move
from basins.rare.whitening import Whitening

Indices = NDArray[np.int64]

MOVES: dict[str, Move] = {
    "pcn": proposals.pcn,
    "population": proposals.population,
    "difference": proposals.difference,
}
"""The kinds of moves, used in equal shares."""
LARGEST = {"pcn": 1.0, "population": 3.0, "difference": 2.0}
FIRST_SIZE = 0.5
ACCEPT = 0.25
"""The acceptance rate that sizes are adapted to (0.234 is best for a random walk in many dimensions)."""

GAIN = 2.0
"""A size is multiplied by exp(GAIN (share - ACCEPT) / sqrt(sweep)) after each sweep."""


class WhitenedCoordinate:
    """A reaction coordinate as a function of the normal coordinates z of a law."""

    def __init__(self, whitening: Whitening, coordinate: Coordinate) -> None:
        self.whitening, self.coordinate = whitening, coordinate

    @property
    def n(self) -> int:
        return self.whitening.problem.n

    def at(self, z: Array, threshold: float) -> SetMembership:
        """Which of the starts of z (N, n) are inside."""
        return self.coordinate.starts(self.whitening.weights(z), threshold)


@dataclass
class Population:
    """z (N, n): points inside the set of the splitting level; parent (N,): the index of the point in the previous
    population that each was copied from; ancestor (N,): its index in the first population; moved (N,): how many moves
    were accepted at this level; sizes: of the moves, by name.
    """

    z: Array
    parent: Indices
    ancestor: Indices
    moved: Indices
    sizes: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MOVES, FIRST_SIZE))

    def __len__(self) -> int:
        return len(self.z)


@dataclass(frozen=True)
class Learned:
    """What a splitting level's moves are built from: partners z (M, n) inside its set, and sizes by name."""

    partners: Array
    sizes: Mapping[str, float]


@dataclass(frozen=True)
class Tried:
    """How often a move was proposed and accepted at a splitting level, and its size at the end of that level."""

    proposed: int
    accepted: int
    size: float


@dataclass(frozen=True)
class LevelResult:
    """The result of a splitting level. p: the share of the previous population that is inside; spread: the variance of
    p estimated from families (`share`); autocorrelation: of the chains' positions between their first and last sweep;
    undecided: how many trajectories were undecided; trajectories, evaluations: the cost; moves: by name.
    """

    p: float
    spread: float
    autocorrelation: float
    undecided: int
    trajectories: int
    evaluations: int
    moves: Mapping[str, Tried]


def first_population(reaction: WhitenedCoordinate, N: int, stream: Stream) -> Population:
    """N independent draws of the law."""
    own = np.arange(N)
    return Population(stream.normals(N, reaction.n), own, own, np.zeros(N, dtype=np.int64))


def advance(
    reaction: WhitenedCoordinate,
    before: Population,
    t: float,
    sweeps: int,
    stream: Stream,
    learned: Learned | None,
) -> tuple[Population, LevelResult]:
    """From the population of a level to that of the next, whose threshold is t; empty if no chain is inside.

    learned: what another run learned at this level; None: learn from this one.
    """
    N = len(before)
    membership = reaction.at(before.z, t)
    p, spread = share(membership.inside, before.parent)
    undecided, evaluations, trajectories = int(membership.undecided.sum()), membership.evaluations, N
    survivors = np.flatnonzero(membership.inside)
    if not len(survivors):
        none = np.zeros(0, dtype=np.int64)
        empty = Population(np.zeros((0, reaction.n)), none, none, none, dict(before.sizes))
        return empty, LevelResult(0.0, spread, float("nan"), undecided, trajectories, evaluations, {})
    parent = copies(survivors, N, stream)
    sizes = dict(before.sizes if learned is None else learned.sizes)
    after = Population(before.z[parent], parent, before.ancestor[parent], np.zeros(N, dtype=np.int64), sizes)
    proposed, accepted = dict.fromkeys(MOVES, 0), dict.fromkeys(MOVES, 0)
    for sweep in range(1, sweeps + 1):
        tried = {name: np.zeros(2, dtype=np.int64) for name in MOVES}
        for rows in (np.arange(0, N, 2), np.arange(1, N, 2)) if learned is None else (np.arange(N),):
            partners = np.delete(after.z, rows, axis=0) if learned is None else learned.partners
            flight = _move(reaction, after, rows, partners, t, stream, tried)
            undecided += int(flight.undecided.sum())
            evaluations += flight.evaluations
            trajectories += len(flight.inside)
        for name, (asked, taken) in tried.items():
            proposed[name] += int(asked)
            accepted[name] += int(taken)
            if asked and learned is None:
                change = GAIN * (taken / asked - ACCEPT) / np.sqrt(sweep)
                after.sizes[name] = min(after.sizes[name] * float(np.exp(change)), LARGEST[name])
    moves = {name: Tried(proposed[name], accepted[name], after.sizes[name]) for name in MOVES}
    still = autocorrelation(before.z[parent], after.z)
    return after, LevelResult(p, spread, still, undecided, trajectories, evaluations, moves)


def autocorrelation(first: Array, last: Array) -> float:
    """Correlation between the first (N, n) and last (N, n) positions of N chains, over all coordinates together: 1 if
    none has moved, 0 if they have forgotten their start; nan if all are at one point."""
    a, b = first - first.mean(axis=0), last - last.mean(axis=0)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / size if size > 0 else float("nan")


def _move(
    reaction: WhitenedCoordinate,
    after: Population,
    rows: Indices,
    partners: Array,
    t: float,
    stream: Stream,
    tried: Mapping[str, Indices],
) -> SetMembership:
    """One move of each of the chains `rows`, of a kind drawn for each; `tried` counts (proposed, accepted)."""
    kind = stream.integers(len(MOVES), len(rows))
    z = after.z[rows]
    z_new, log_ratio = np.empty_like(z), np.empty(len(rows))
    for number, (name, move) in enumerate(MOVES.items()):
        mine = np.flatnonzero(kind == number)
        z_new[mine], log_ratio[mine] = move(z[mine], partners, after.sizes[name], stream)
    membership = reaction.at(z_new, t)
    taken: Flags = membership.inside & (np.log(stream.uniforms(len(rows))) < log_ratio)
    after.z[rows[taken]] = z_new[taken]
    after.moved[rows[taken]] += 1
    for number, name in enumerate(tried):
        tried[name][:] += np.count_nonzero(kind == number), np.count_nonzero(taken & (kind == number))
    return membership


def copies(survivors: Indices, N: int, stream: Stream) -> Indices:
    """The survivor that each of N points is copied from. The numbers of copies differ by at most one, at random; the
    order is random, so that copies of one survivor are spread over both halves of a pilot."""
    shuffled = survivors[stream.permutation(len(survivors))]
    repeated: Indices = np.resize(shuffled, N)[stream.permutation(N)]
    return repeated


def share(inside: Flags, parent: Indices) -> tuple[float, float]:
    """(p, its variance): the share that is inside, and its variance estimated from families, the copies of one parent.

    sum_i (sum over family i of (I - p))^2 / N^2 F / (F - 1), F families: p (1 - p) (1 + gamma) / N with the factor
    gamma of Au and Beck (2001) for chains from one seed, here estimated from all pairs of a family. Families of one are
    independent draws. The estimate misses dependence between families, so it is never used alone.
    """
    N = len(inside)
    p = np.count_nonzero(inside) / N
    _, family = np.unique(parent, return_inverse=True)
    sums = np.bincount(family, weights=inside - p)
    families = len(sums)
    if families < 2:
        return p, float("inf")
    return p, float(sums @ sums) / N**2 * families / (families - 1)
