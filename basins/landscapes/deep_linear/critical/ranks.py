"""Ranks of all partial products at a point, and what they mean: the segments into which the network's chain splits.

Write Sigma_Y^T behind W_{H+1} and the layers close into a cycle of H + 1 nodes (node j carries R^{d_j}; node
0 carries R^{d_y}, the outputs and, through Sigma_Y^T, the first d_y inputs). A path starts at a node and
follows 0 to H arrows. Every block of theory.md 5 is a path: the inner one of a pair of layers i > j runs from
node j to node i - 1, the outer one from node i through Sigma_Y^T to node j - 1.

At a critical point the r fitted modes pass through every path, so no path has a rank below r. On the rest, of widths
d_j - r, all paths of H arrows are zero (Lemma 3.1 and the third line of eq. (17), for every layer). So the rest is a
nilpotent representation of the cycle: a direct sum of segments, each a run of at most H consecutive nodes with ones on
the arrows between them. Hence

- the ranks of the paths say how many segments of each start and length there are, and conversely
  (`segments`);
- a pair of layers is not tightened iff, with the cycle cut at the two, some segment covers one part and some
  segment the other (`covers`): a saddle with S = {1..r} is strict iff two segments cover the whole cycle;
- the points of one rank pattern are an orbit of the invertible changes of basis at the nodes, so a manifold,
  whose codimension follows from the segments (`codimension`; for H = 1 it is dim - d(r)).

The derivation is this module's own. tests/landscapes/critical tests it against the dense Hessian and tangent spaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.problem import Problem
from basins.rounding import U

Array = NDArray[np.float64]

CLEAR = 10.0
"""A singular value, or an eigenvalue, is clearly not zero from this many times its tolerance on."""

Segments = dict[tuple[int, int], int]
"""How many segments start at a node and have so many nodes: {(start, length): count}."""


@dataclass(frozen=True, order=True)
class Path:
    """`arrows` consecutive arrows of the cycle from node `start`; arrow a + 1 (from node a) is W_{a+1}."""

    start: int
    arrows: int

    def layers(self, H: int) -> tuple[int, ...]:
        """Layer numbers, 1 to H + 1, in the order in which they are applied."""
        return tuple((self.start + k) % (H + 1) + 1 for k in range(self.arrows))

    def passes_target(self, H: int) -> bool:
        """Whether the path goes on from the outputs to the inputs, so has Sigma_Y^T inside."""
        return self.start > 0 and self.start + self.arrows > H + 1

    def contains(self, other: Path, H: int) -> bool:
        offset = (other.start - self.start) % (H + 1)
        return offset + other.arrows <= self.arrows

    def name(self, H: int) -> str:
        """The product as written on paper, "W_2 W_1 Sigma_Y^T W_4"; "I" for no arrows."""
        parts: list[str] = []
        for layer in self.layers(H):
            if layer == 1 and parts:
                parts.append("Sigma_Y^T")
            parts.append(f"W_{layer}")
        return " ".join(reversed(parts)) if parts else "I"


@dataclass(frozen=True)
class PartialProduct:
    """One path at one point: its rank, and how clear that is.

    kept: the smallest singular value that counts (inf for rank 0); dropped: the largest that does not (0 at full rank);
    tolerance: the largest error of a singular value, from rounding and from the distance to which the point is known.
    All are in the units of the product.
    """

    path: Path
    name: str
    rank: int
    kept: float
    dropped: float
    tolerance: float

    @property
    def gap(self) -> float:
        """kept / max(dropped, tolerance): well above 1 where the rank is clear."""
        return self.kept / max(self.dropped, self.tolerance) if self.tolerance > 0 or self.dropped > 0 else np.inf


class Cycle:
    """The layers of one state, in the paper's coordinates, closed by Sigma_Y^T.

    layers: (W_1, ..., W_{H+1}) with W_1 (d_1, d_x) and Sigma_Y = [diag(sigma) 0]; see `paper_layers`.
    """

    def __init__(self, layers: Sequence[Array], sigma: Array) -> None:
        self.layers, self.sigma = list(layers), sigma
        self.H = len(self.layers) - 1
        self.norms = [float(np.linalg.norm(W_j, 2)) for W_j in self.layers]
        self.nodes = (len(sigma), *(len(W_j) for W_j in self.layers[:-1]))
        """Widths at the nodes 0, ..., H: (d_y, d_1, ..., d_H)."""

    def paths(self) -> list[Path]:
        """All paths of 1 to H arrows, short ones first."""
        return [Path(start, arrows) for arrows in range(1, self.H + 1) for start in range(self.H + 1)]

    def factors(self, path: Path) -> list[tuple[int, Array]]:
        """The path's matrices in the order of application, with their layer number, or 0 for a constant one.

        A start at node 0 selects the first d_y inputs; passing node 0 multiplies by Sigma_Y^T (d_x, d_y).
        """
        d_y, d_x = len(self.sigma), self.layers[0].shape[1]
        factors: list[tuple[int, Array]] = []
        for layer in path.layers(self.H):
            if layer == 1:
                factors.append((0, np.eye(d_x, d_y) * (self.sigma if factors else 1.0)))
            factors.append((layer, self.layers[layer - 1]))
        return factors

    def matrix(self, path: Path) -> Array:
        """The path's product, (width at its end, width at its start)."""
        if path.arrows == 0:
            return np.eye(self.nodes[path.start])
        return reduce(lambda product, factor: factor @ product, (factor for _, factor in self.factors(path)))

    def tolerance(self, path: Path, distance: float) -> float:
        """How much a singular value of the path can change by rounding, and if the point moves by `distance`.

        By Weyl, prod (||W_l|| + distance) - prod ||W_l||, operator norms; and (arrows + 1) d u prod ||W_l||
        for rounding, d the largest width: both times sigma_1 where the path passes Sigma_Y^T.
        """
        if path.arrows == 0:
            return 0.0
        size = float(self.sigma[0]) if path.passes_target(self.H) else 1.0
        norms = np.array([self.norms[layer - 1] for layer in path.layers(self.H)])
        product = float(np.prod(norms))
        moved = _product_change(norms, distance)
        width = max(*self.nodes, self.layers[0].shape[1])
        return float(size * (moved + (path.arrows + 1) * width * U * product))

    def partial_product(self, path: Path, rank: int, distance: float) -> PartialProduct:
        """The path with a rank that was decided elsewhere."""
        s = np.linalg.svd(self.matrix(path), compute_uv=False)
        return PartialProduct(
            path=path,
            name=path.name(self.H),
            rank=rank,
            kept=float(s[rank - 1]) if rank else np.inf,
            dropped=float(s[rank]) if rank < len(s) else 0.0,
            tolerance=self.tolerance(path, distance),
        )

    def ranks(self, distance: float) -> dict[Path, int]:
        """Rank of every path if singular values within its tolerance for this distance count as zero."""
        return {
            path: int(np.sum(np.linalg.svd(self.matrix(path), compute_uv=False) > self.tolerance(path, distance)))
            for path in self.paths()
        }


def _product_change(norms: Array, distance: float) -> float:
    """prod (a_l + x) - prod a_l without cancellation: the sum over l of x times the factors before and
    after."""
    change, before = 0.0, 1.0
    for k, norm in enumerate(norms):
        change += before * distance * float(np.prod(norms[k + 1 :]))
        before *= norm + distance
    return change


def paper_layers(problem: Problem, W: Array) -> tuple[Array, ...]:
    """The layers of a state (n,) in the paper's coordinates: Wbar_1 = W_1 G V_Y, Wbar_{H+1} = U_Y^T W_{H+1}
    in the raw flow.

    Invertible and linear, so ranks, the critical set and the Hessian's inertia are the same (theory.md 1.1);
    distances are not.
    """
    layers = problem.unpack(W)
    if problem.flow == "reduced":
        return layers
    assert problem.gram_root is not None and problem.U_Y is not None and problem.V_Y is not None
    return (layers[0] @ problem.gram_root @ problem.V_Y, *layers[1:-1], problem.U_Y.T @ layers[-1])


def state_of_paper_layers(problem: Problem, layers: Sequence[Array]) -> Array:
    """The state (n,) with these layers in the paper's coordinates: the inverse of `paper_layers`."""
    if problem.flow == "reduced":
        return problem.pack(layers)
    assert problem.gram_root is not None and problem.U_Y is not None and problem.V_Y is not None
    W_1 = np.linalg.solve(problem.gram_root.T, (layers[0] @ problem.V_Y.T).T).T
    return problem.pack([W_1, *layers[1:-1], problem.U_Y @ layers[-1]])


def typical_size(problem: Problem) -> float:
    """sigma_1^{1/(H+1)}: each weight of a scalar chain that fits the largest mode. A length."""
    size: float = float(problem.sigma[0]) ** (1 / (problem.H + 1))
    return size


def scale_of(problem: Problem, layers: Sequence[Array]) -> float:
    """max(||W||, `typical_size`), for layers in the paper's coordinates: what lengths at a critical point are relative
    to.
    """
    return max(float(np.sqrt(sum(np.sum(W_j**2) for W_j in layers))), typical_size(problem))


def segments(nodes: Sequence[int], r: int, ranks: dict[Path, int]) -> Segments | None:
    """The segments of a critical point with these ranks, or None if no critical point has them.

    nodes: (d_y, d_1, ..., d_H). With q(a, m) the rank of the path of m arrows from node a, less r, and 0 from
    m = H on, the segments from node a with m + 1 nodes number q(a, m) - q(a - 1, m + 1) - q(a, m + 1) + q(a -
    1, m + 2).
    """
    N = len(nodes)
    H = N - 1

    def q(a: int, m: int) -> int:
        if m >= H:
            return 0
        return nodes[a % N] - r if m == 0 else ranks[Path(a % N, m)] - r

    if min(ranks.values()) < r:
        return None
    if r < nodes[0] and any(ranks[Path(a, H)] != r for a in range(N)):
        return None
    found: Segments = {}
    for a in range(N):
        for m in range(H):
            count = q(a, m) - q(a - 1, m + 1) - q(a, m + 1) + q(a - 1, m + 2)
            if count < 0:
                return None
            if count:
                found[a, m + 1] = count
    return found


def codimension(widths: Sequence[int], r: int, pattern: Segments) -> int:
    """Codimension of the critical points with r fitted modes and these segments, in the space of states.

    r (d_x + d_y - r) from the fitted modes, and for the rest, of widths m_j, sum m_j m_{j-1} - sum m_j^2 +
    dim End, where a segment maps to another in at most one way: its first node to the same node there, if
    what follows there is no longer than itself.
    """
    d_x, d_y = widths[0], widths[-1]
    if r == d_y:
        return d_x * d_y
    N = len(widths) - 1
    m = [d_y - r, *(d - r for d in widths[1:-1])]

    def maps(source: tuple[int, int], image: tuple[int, int]) -> bool:
        (a, length), (b, image_length) = source, image
        place = (a - b) % N
        return place < image_length <= place + length

    endomorphisms = sum(p * q for source, p in pattern.items() for image, q in pattern.items() if maps(source, image))
    arrows = sum(m[k] * m[k - 1] for k in range(N))
    return r * (d_x + d_y - r) + arrows - sum(k * k for k in m) + endomorphisms


def dimension(problem: Problem, r: int, pattern: Segments) -> int:
    """Dimension of the set of critical points with r fitted modes and these segments; where the Hessian's nullity is
    as large, it has no other flat direction."""
    return problem.n - codimension(problem.widths, r, pattern)


def covers(pattern: Segments, H: int) -> list[tuple[int, int]]:
    """Pairs of layers (i, j), i > j, that two segments make untightened: all H + 1 nodes are covered, cut at
    W_i and W_j."""
    return [(i, j) for i, j in pairs_of_layers(H) if all(_inside(pattern, path, H) for path in both_paths(i, j, H))]


def pairs_of_layers(H: int) -> list[tuple[int, int]]:
    """All (i, j) with H + 1 >= i > j >= 1."""
    return [(i, j) for i in range(2, H + 2) for j in range(1, i)]


def both_paths(i: int, j: int, H: int) -> tuple[Path, Path]:
    """The inner path W_{i-1}...W_{j+1} and the outer W_{j-1}...W_1 Sigma_Y^T W_{H+1}...W_{i+1} of two layers
    i > j (theory.md 5)."""
    return Path(j, i - 1 - j), Path(i % (H + 1), H - i + j)


def outer_name(i: int, j: int, H: int) -> str:
    """The outer path as theory.md 5 writes it, W_{j-1}...W_1 Sigma_Y^T W_{H+1}...W_{i+1}.

    A path that starts or ends at node 0 is taken without Sigma_Y^T, which is invertible there and changes no
    rank.
    """
    after = [Path(0, j - 1).name(H)] if j > 1 else []
    before = [Path(i, H + 1 - i).name(H)] if i <= H else []
    return " ".join([*after, "Sigma_Y^T", *before])


def _inside(pattern: Segments, path: Path, H: int) -> bool:
    """Whether some segment contains every node of the path, so that the path is not zero on what is not
    fitted."""
    return any(Path(start, length - 1).contains(path, H) for start, length in pattern)
