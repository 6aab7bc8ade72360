"""The codimension of a stable manifold, measured by counting the points near a planted one that stay near it.

Move a planted point, which flows to a saddle, by a point of an eps-ball. Then the flow leaves the planted space (the
zeros of theory.md 6.7) like e^{lambda_i t} in the m_u unstable directions. In these directions it stays within delta of
that space until t if it starts in a tube of half-width delta e^{-lambda_i t} around the stable manifold. So the share
of points that stay scales like

    f(eps, t) ~ eps^{-m_u} exp(-t sum_i lambda_i),     delta e^{-lambda t} << eps << delta:

Varying eps at fixed t gives the number m_u. Varying t at fixed eps gives the sum of the rates, which may differ
(theory.md 2). Both are fitted by ladder.py and compared with theory and with the Hessian's negative eigenvalues.

The tube is too thin to be hit by chance (10^-11 of the ball for m_u = 9). So importance sampling is used. First the
planted point is moved in every coordinate, which shows the directions that the flow separates. Points are then drawn
uniformly in an ellipsoid of WIDE times the tube's size in these directions, and in a ball of radius eps in the others,
so that the eps-ball is the product of two balls. The correction is the volume of the ellipsoid, exactly. If the
ellipsoid were too small, points that stay would lie up to its edge; this is checked.

Only the separated directions count for the distance of a point. For deeper networks the planted zeros also have
directions of rate zero, along which critical points lie. A move along them, of length up to eps, would count as a part
of delta, and the more so the larger eps is.

Double precision limits the method. The planted zeros are exact, so moves beside them keep their digits. But the fastest
tube must be wider than the rounding of the other weights and than the bend of the manifold over the ball, eps^2.
`Design` finds delta, and refuses if the rates differ too much for any choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basins.called_late import Printed
from basins.errors import ArgumentError
from basins.integrators import engine_of
from basins.integrators.base import Array, IntegrationRequest, Settings, Stop
from basins.landscapes.deep_linear.critical.inertia import inertia
from basins.landscapes.deep_linear.critical.stable_manifold import on_stable_manifold
from basins.landscapes.deep_linear.invariant_zeros import planted_zeros
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum
from basins.rare.exponents import kappa
from basins.rare.ladder import Exponent, exponent
from basins.rounding import U

THIN, RUNGS, OUTSIDE = 10.0, 3.0, 2.0
"""smallest eps = THIN times the widest tube; largest eps = RUNGS times that; delta = OUTSIDE times the largest eps."""
SEPARATED = THIN * RUNGS * OUTSIDE
STARTS = 16
"""Planted starts that are tried; the one whose slowest unstable rate is nearest to the flow's fastest rate is used."""
STIFFEST = 500.0
"""The largest ratio of the flow's fastest rate to the slowest unstable one: counting takes some 50 evaluations times
this ratio."""
EPS_RUNGS, T_RUNGS = 4, 4
EARLIEST = 0.7
"""The first t of the ladder in t, relative to the last."""
WIDE = (1.25, 2.0, 3.5)
EDGE = 0.95
"""Points that stay must lie within this part of the ellipsoid's size; if not, the next WIDE is tried."""
FEWEST = 30
"""The fewest points that must stay on every rung."""
ALPHA = 0.05
"""The four intervals hold jointly with probability 1 - ALPHA."""
LEAST_SAMPLES, MOST_SAMPLES = 200, 1_000_000


@dataclass(frozen=True)
class Rung:
    """One rung of a ladder: `stayed` of `samples` points drawn at eps and t stay; log_share: log of the share of the
    ball that stays."""

    eps: float
    t: float
    samples: int
    stayed: int
    log_share: float


@dataclass(frozen=True)
class Counted:
    """The result for one way of moving the planted point. moved: "every weight" or "planted zeros"; dimensions: the
    number of moved weights; number: m_u; rates: the sum of the unstable rates; by_eps, by_t: their ladders."""

    moved: str
    dimensions: int
    number: Exponent
    rates: Exponent
    by_eps: tuple[Rung, ...]
    by_t: tuple[Rung, ...]


@dataclass(frozen=True, repr=False)
class Codimension(Printed):
    """The result of `codimension_of`. base (n,): the planted point; rates: minus the Hessian's negative eigenvalues
    there, falling; theory: m_u of theory.md 2 (H = 1), otherwise None; kappa: if the stratum also has non-strict points
    (H >= 2, S = {1..k}), the exponent of theory.md 5 with which these hold starts; delta: the largest distance from the
    planted space at which a point counts as staying; evaluations: total evaluations of the field."""

    stratum: Stratum
    widths: tuple[int, ...]
    base: Array
    rates: tuple[float, ...]
    theory: int | None
    kappa: float | None
    delta: float
    counted: tuple[Counted, ...]
    evaluations: int

    @property
    def holds(self) -> bool:
        """Whether every interval contains the expected value."""
        expected = len(self.rates) if self.theory is None else self.theory
        return all(one.number.holds(expected) and one.rates.holds(sum(self.rates)) for one in self.counted)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""

        def as_dict(found: Exponent) -> dict[str, float]:
            return {"estimate": found.value, "lower": found.low, "upper": found.high}

        return {
            "widths": list(self.widths),
            "stratum": self.stratum.index,
            "modes": list(self.stratum.modes),
            "theory": self.theory,
            "kappa": self.kappa,
            "negative_eigenvalues": len(self.rates),
            "rates": list(self.rates),
            "delta": self.delta,
            "evaluations": self.evaluations,
            "base": self.base.tolist(),
            "counted": [
                {
                    "moved": one.moved,
                    "dimensions": one.dimensions,
                    "m_u": as_dict(one.number),
                    "sum_of_rates": as_dict(one.rates),
                    "by_eps": [vars(rung) for rung in one.by_eps],
                    "by_t": [vars(rung) for rung in one.by_t],
                }
                for one in self.counted
            ],
        }


def codimension_of(problem: Problem, j: int, *, seed: int = 0, samples: int = 4000, scale: float = 0.5) -> Codimension:
    """m_u of the stable manifold of I(j), counted around a point planted on it (module docstring).

    scale: of the planted start (theory.md 6.7), which is integrated until it rests. samples: points on each of
    EPS_RUNGS + T_RUNGS rungs, for each of two ways to move. The same arguments give the same numbers. Raises
    ArgumentError for a stratum that does not exist or is that of the minima, for d_y > 20, for the raw flow, and if
    double precision resolves no tube.
    """
    stratum = _stratum(problem, j)
    if not LEAST_SAMPLES <= samples <= MOST_SAMPLES:
        raise ArgumentError(f"samples = {samples}", where="samples", remedy=f"give {LEAST_SAMPLES} to {MOST_SAMPLES:,}")
    planted = planted_zeros(problem, stratum.modes)
    flow = _Flow(problem, planted)
    base, rates, fastest = _base(flow, stratum, seed, scale)
    flow.longest_step = 1.0 / fastest
    design = Design.of(rates, _size(problem, base))
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 2], dtype=np.uint64)))
    ways = (("every weight", np.arange(problem.n)), ("planted zeros", np.flatnonzero(planted)))
    counted = tuple(_count(flow, base, moved, free, design, samples, rng) for moved, free in ways)
    return Codimension(
        stratum=stratum,
        widths=problem.widths,
        base=base,
        rates=tuple(map(float, rates)),
        theory=stratum.unstable_index,
        kappa=kappa(problem, stratum.rank) if stratum.modes == tuple(range(stratum.rank)) else None,
        delta=design.delta,
        counted=counted,
        evaluations=flow.evaluations,
    )


def _stratum(problem: Problem, j: int) -> Stratum:
    if problem.flow != "reduced":
        raise ArgumentError(
            "no planted start stays in the raw flow: X X^T mixes the columns of W_1 (theory.md 6.7)",
            where="flow",
            remedy='set flow = "reduced"',
        )
    return problem.strata().saddle(j)


def _base(flow: _Flow, stratum: Stratum, seed: int, scale: float) -> tuple[Array, Array, float]:
    """The least stiff of STARTS planted starts, integrated until they rest; its unstable rates, falling; and the
    largest absolute eigenvalue of the Hessian."""
    problem = flow.problem
    starts = [
        on_stable_manifold(problem, stratum.modes, "zeros", seed=seed * STARTS + k, scale=scale) for k in range(STARTS)
    ]
    state, stop = flow.carry(np.array(starts), np.inf, 0.0)
    found = []
    for base in state[stop == Stop.RESTING]:
        eigenvalues = np.linalg.eigvalsh(problem.hessian(base))
        zero = inertia(problem, base, distance=1e-6 * _size(problem, base)).tolerance
        rates = np.sort(-eigenvalues[eigenvalues < -zero])[::-1]
        if len(rates):
            found.append((base, rates, float(np.abs(eigenvalues).max())))
    if not found:
        raise ArgumentError(
            f"none of {STARTS} starts planted on I({stratum.index}) comes to rest where an eigenvalue is negative",
            where="seed",
            remedy="give another seed or scale",
        )
    base, rates, fastest = min(found, key=lambda one: one[2] / one[1][-1])
    if fastest > STIFFEST * rates[-1]:
        raise ArgumentError(
            f"of {STARTS} starts the best passes a saddle that it leaves at rate {rates[-1]:.2g}, where the fastest is "
            f"{fastest:.3g}",
            where="seed",
            remedy="that takes too long to count: give another seed or scale",
        )
    return base, rates, fastest


def _size(problem: Problem, W: Array) -> float:
    return max(float(np.linalg.norm(W)), float(problem.sigma[0] ** (1 / (problem.H + 1))))


@dataclass(frozen=True)
class Design:
    """delta, the ladders' eps (rising) and t (rising; the last is eps' own)."""

    delta: float
    eps: Array
    t: Array

    @classmethod
    def of(cls, rates: Array, size: float) -> Design:
        """The design in which the slowest tube is SEPARATED times thinner than delta, and the fastest is still wider
        than the bend of the manifold, about eps^2 / size, and than a thousand rounding errors."""
        spread = float(rates[0] / rates[-1])
        thinnest = float(np.exp(-min(spread * np.log(SEPARATED), 300.0)))  # width of the fastest tube over delta
        largest, smallest = size * min(1e-3, thinnest), size * 1000 * U / thinnest
        delta = float(np.sqrt(largest * smallest))  # as far from both limits as possible
        if largest < smallest:
            raise ArgumentError(
                f"unstable rates from {rates[-1]:.3g} to {rates[0]:.3g}: when the slowest tube is thin, the fastest is "
                f"{largest * thinnest:.1e} wide, below what double precision resolves ({1000 * U * size:.1e})",
                where="eps",
                remedy="give another seed or scale, or a spectrum whose values are closer",
            )
        t = float(np.log(SEPARATED) / rates[-1])
        eps = np.geomspace(delta / OUTSIDE / RUNGS, delta / OUTSIDE, EPS_RUNGS)
        return cls(delta, eps, t * np.linspace(EARLIEST, 1.0, T_RUNGS))


class _Flow:
    """Integrates states with the lanes engine and counts the evaluations."""

    def __init__(self, problem: Problem, planted: NDArray[np.bool_]) -> None:
        self.problem, self.planted, self.engine, self.evaluations = problem, planted, engine_of("lanes"), 0
        self.longest_step = np.inf

    def carry(self, starts: Array, t: float, rest_after: float = np.inf) -> tuple[Array, NDArray[np.int8]]:
        leg = IntegrationRequest.of(starts, 10**6, rest_after=rest_after, t_end=t, max_step=self.longest_step)
        # Steps are at most the flow's own time scale, so that the difference of two neighbours is as accurate as they
        # are.
        settings = Settings(rtol=1e-10, atol=1e-12)
        ends = self.engine.integrate(self.problem, leg, settings)
        self.evaluations += int(ends.evaluations.sum())
        return ends.state, ends.stop

    def away(self, starts: Array, t: float) -> Array:
        """The planted entries (N, p) at time t of starts (N, n), which measure the distance from the planted space."""
        state, stop = self.carry(starts, t)
        if not (stop == Stop.T_END).all():
            raise ArgumentError(
                f"a point ends before t = {t:.4g} ({Stop(stop[stop != Stop.T_END][0]).name.lower()})",
                where="codim",
                remedy="give another seed or scale",
            )
        away: Array = state[:, self.planted]
        return away


@dataclass(frozen=True)
class _Region:
    """The region in which points are drawn for a time t. tubes (k, m'): the directions in the free coordinates that the
    flow separates; widths (m',): the half-widths there; rest (k, k - m'): the other directions; into (p, m'): the
    directions in the p planted zeros into which the flow separates them by time t."""

    free: NDArray[np.int64]
    tubes: Array
    widths: Array
    rest: Array
    into: Array

    @classmethod
    def at(cls, flow: _Flow, base: Array, free: NDArray[np.int64], design: Design, fastest: float, t: float) -> _Region:
        """The region as measured from the flow, by moving the base slightly in every free coordinate."""
        little = design.delta * np.exp(-fastest * t)
        moves = np.zeros((len(free), flow.problem.n))
        moves[np.arange(len(free)), free] = little
        into, growth, directions = np.linalg.svd(flow.away(base + moves, t).T / little)
        m = int((design.delta / growth.clip(1e-300) < design.eps[0] / 2).sum())  # growth falls
        return cls(free, directions[:m].T, design.delta / growth[:m], directions[m:].T, into[:, :m])

    def draw(self, n: int, eps: float, wide: float, samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Moves (samples, n), and their positions in the ellipsoid (samples,), 1 at its edge."""
        u, s = _ball(samples, len(self.widths), rng), _ball(samples, self.rest.shape[1], rng)
        moves = np.zeros((samples, n))
        moves[:, self.free] = (wide * self.widths * u) @ self.tubes.T + eps * (s @ self.rest.T)
        return moves, np.linalg.norm(u, axis=1)

    def log_volume(self, wide: float, eps: float) -> float:
        """log of the region's volume over that of the product of the two eps-balls."""
        return float(np.sum(np.log(wide * self.widths / eps)))


def _ball(samples: int, k: int, rng: np.random.Generator) -> Array:
    """Uniform points in the unit ball of R^k, (samples, k)."""
    z = rng.standard_normal((samples, k))
    if k == 0:
        return z
    radius = rng.random(samples) ** (1 / k)
    points: Array = z * (radius / np.linalg.norm(z, axis=1))[:, None]
    return points


def _count(
    flow: _Flow,
    base: Array,
    moved: str,
    free: NDArray[np.int64],
    design: Design,
    samples: int,
    rng: np.random.Generator,
) -> Counted:
    """Both ladders for one way of moving, with the first of the WIDE that contains all points that stay."""
    last = float(design.t[-1])
    fastest = float(np.log(1 / _thinnest(flow, base, free, design, last)) / last)
    regions = [_Region.at(flow, base, free, design, fastest, float(t)) for t in design.t]
    for wide in WIDE:
        rungs, inside = [], True
        steps = [(float(e), last, regions[-1]) for e in design.eps]
        steps += [(float(design.eps[-1]), float(t), region) for t, region in zip(design.t, regions, strict=True)]
        for eps, t, region in steps:
            moves, place = region.draw(flow.problem.n, eps, wide, samples, rng)
            stays = np.linalg.norm(flow.away(base + moves, t) @ region.into, axis=1) < design.delta
            inside &= not (stays & (place > EDGE)).any()
            count = int(stays.sum())
            share = np.log(count / samples) if count else -np.inf
            rungs.append(Rung(eps, t, samples, count, float(share) + region.log_volume(wide, eps)))
        if inside:
            break
    else:
        raise ArgumentError(
            "the points that stay fill more than the tubes that the flow's separation predicts",
            where="codim",
            remedy="the stable manifold is not such a tube at this scale: give another seed or scale",
        )
    few = [rung for rung in rungs if rung.stayed < FEWEST]
    if few:
        raise ArgumentError(
            f"{few[0].stayed} of {samples:,} points stay at eps = {few[0].eps:.2g}, t = {few[0].t:.3g}",
            where="samples",
            remedy=f"give more samples, so that at least {FEWEST} stay",
        )
    by_eps, by_t = tuple(rungs[: len(design.eps)]), tuple(rungs[len(design.eps) :])
    x_eps, x_t = np.log([rung.eps for rung in by_eps]), np.array([rung.t for rung in by_t])
    number, rates = (_fitted(ladder, x) for ladder, x in ((by_eps, x_eps), (by_t, x_t)))
    return Counted(moved, len(free), number, rates, by_eps, by_t)


def _fitted(rungs: tuple[Rung, ...], x: Array) -> Exponent:
    counts = np.array([rung.stayed for rung in rungs])
    samples = rungs[0].samples
    offsets = np.array([np.log(rung.stayed / samples) - rung.log_share for rung in rungs])
    return exponent(counts, samples, offsets, x, alpha=ALPHA / 4)


def _thinnest(flow: _Flow, base: Array, free: NDArray[np.int64], design: Design, t: float) -> float:
    """The smallest factor by which a move must be multiplied to stay small at t: 1 over the largest growth."""
    rate = 1.0 / flow.longest_step  # no unstable rate is larger
    little = design.delta * max(np.exp(-rate * t), 1e-12)
    moves = np.zeros((len(free), flow.problem.n))
    moves[np.arange(len(free)), free] = little
    growth = float(np.linalg.norm(flow.away(base + moves, t) / little, ord=2))
    return 1.0 / max(growth, 1.0)
