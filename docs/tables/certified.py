"""Write docs/certified.md: the share of draws whose limit is certified at t = 0, by shape and scale.

python docs/tables/certified.py        (a few minutes; sklearn:digits needs the extra `data`)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basins import Problem
from basins.certified_share import STARTS, CertifiedShare, certified_share
from basins.experiment import load
from basins.landscapes.deep_linear.certificates import can_test
from basins.laws import Gaussian

ROOT = Path(__file__).parents[2]
DRAWS, SEED = STARTS, 1
SCALES = (0.1, 0.5, 1.0, 2.0)
RATIOS = (4.0, 2.0, 0.5, 0.25)
SIGMA = (2.0, 1.1, 0.4)
SHAPES = [
    (1, 1, 1), (2, 2, 2), (2, 3, 2), (3, 2, 2), (3, 3, 2), (3, 4, 2), (5, 4, 3), (8, 8, 3),
    (2, 2, 2, 2), (2, 2, 3, 2), (2, 3, 2, 2), (3, 2, 2, 2), (3, 3, 2, 2), (3, 4, 3, 2), (3, 3, 3, 3), (4, 4, 4, 3),
    (5, 3, 3, 1), (4, 2, 2, 2), (2, 2, 2, 2, 2), (3, 3, 2, 2, 2), (2, 3, 4, 3, 2), (4, 4, 4, 4, 3), (4, 3, 2, 2, 1),
    (2, 2, 2, 2, 2, 2), (4, 4, 3, 3, 2, 2), (3, 2, 3, 2, 3, 2),
]  # fmt: skip
EXAMPLES = ("iris", "wine", "diabetes", "digits")


def count(problem: Problem, scale: float | tuple[float, ...], draws: int = DRAWS) -> CertifiedShare:
    """What is certified of a law's first draws."""
    return certified_share(problem, Gaussian(scale), SEED, draws)


def problem_of(widths: Sequence[int]) -> Problem:
    return Problem.from_spectrum(SIGMA[: widths[-1]], d_x=widths[0], hidden=tuple(widths[1:-1]))


def layer_scales(problem: Problem, ratio: float) -> tuple[float, ...]:
    """Scales of W_1, ..., W_{H+1}, each `ratio` times the one before, of geometric mean 1/2."""
    return tuple(0.5 * ratio ** (j - problem.H / 2) for j in range(problem.H + 1))


def percent(part: int, of: int) -> str:
    """A share in per cent: exact at the ends, else two figures, and from 10 % one decimal."""
    share = 100 * part / of
    if part in (0, of):
        return f"{share:.0f}"
    return f"{share:.1f}" if 10 <= share < 99.95 else f"{share:.4g}" if share > 99 else f"{share:.2g}"


def row_by_scale(problem: Problem, name: str, draws: int = DRAWS) -> str:
    """A line of the first table."""
    by_scale = [count(problem, scale, draws) for scale in SCALES]
    of = sum(counts.starts for counts in by_scale)
    strict = sum(counts.starts - counts.testing for counts in by_scale)

    def pooled(field: str) -> str:
        return percent(sum(getattr(counts, field) for counts in by_scale), of)

    cells = [
        name,
        pooled("paper"),
        pooled("rate"),
        pooled("rank"),
        pooled("invariants"),
        *(percent(counts.level, counts.starts) for counts in by_scale),
        *(percent(counts.certified, counts.starts) for counts in by_scale),
        "all strict" if problem.H == 1 else percent(strict, of) if problem.H == 2 else "",
        "yes" if can_test(problem.widths).can_test else "no",
    ]
    return line(cells)


def row_by_ratio(problem: Problem, name: str, draws: int = DRAWS) -> str:
    """A line of the second table."""
    cells = [name]
    for ratio in RATIOS:
        counts = count(problem, layer_scales(problem, ratio), draws)
        cells += [percent(counts.paper, counts.starts), percent(counts.invariants, counts.starts)]
    return line(cells)


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def problems() -> list[tuple[Problem, str]]:
    """The shapes, and the problems of examples/."""
    examples = [load(ROOT / "examples" / f"{name}.toml").cases[0].problem for name in EXAMPLES]
    named = [(problem, f"{name} {problem.widths}") for problem, name in zip(examples, EXAMPLES, strict=True)]
    return [*((problem_of(widths), str(widths)) for widths in SHAPES), *named]


TEXT = """# What is certified at t = 0

Shares in per cent of Gaussian draws whose limit `basins.certify` proves to be a global minimum before any integration:
the numbers of `certificates.certified_share`, from which `basins describe`, `basins plot certified` and the report take
theirs. Made by

    python docs/tables/certified.py

from {draws:,} draws of each shape and scale (laws.Gaussian, seed {seed}). The standard error of a share is at most 0.25
in the pooled columns and 0.5 in the others; 0 and 100 stand for none and all of the draws. Shapes have singular values
{sigma}, as many as d_y; the last rows are the problems of `examples/`, with theirs.

## By shape and scale
All layers have the same scale. The invariants are of degree two in W, so a common scale changes no sign of an
eigenvalue: what they prove has the same share at every scale (a rate goes like scale^(2 H)), and the columns up to
"3b-3d" are pooled over the four scales. The loss level knows the scale: it proves much for d_y = 1, where any fit of
the right sign is below it, and nearly nothing for more targets. Each argument is counted whatever the others say.

- **Prop. 2**: the paper's product of lam_d(C_j) is positive. **3b**: the two-sided rate ([theory.md](theory.md)).
- **3c, 3d**: the ranks that the C_j force exclude every rank below d_y. **3b-3d**: either.
- **3a at 0.1 to 2**: the loss level alone, at this scale. **all at 0.1 to 2**: certified, by any of these.
- **no non-strict**: certified, or for H = 2 every rank at which a saddle may be non-strict is excluded (3e), pooled. Of
  these almost every one goes to a global minimum, since strict saddles attract almost none. The rest are the draws with
  which such a shape tests the conjecture.
- **open**: whether runs of this shape can test the conjecture (`certificates.can_test`).

![Share certified at t = 0 by scale, for six shapes](pictures/certified.png)

| widths | Prop. 2 | 3b | 3c, 3d | 3b-3d | 3a at 0.1 | 0.5 | 1 | 2 | all at 0.1 | 0.5 | 1 | 2 | no non-strict | open |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{by_scale}

## By the ratio of scales from layer to layer
W_{{j+1}} has `ratio` times the scale of W_j, with geometric mean 1/2. First Prop. 2, then 3b-3d. Proposition 2 is for
layers that grow towards the output; the two-sided rate and the ranks serve either way, where widths allow.

| widths | 4: Prop. 2 | 3b-3d | 2: Prop. 2 | 3b-3d | 1/2: Prop. 2 | 3b-3d | 1/4: Prop. 2 | 3b-3d |
|---|---|---|---|---|---|---|---|---|
{by_ratio}
"""


def main() -> None:
    by_scale, by_ratio = [], []
    for problem, name in problems():
        by_scale.append(row_by_scale(problem, name))
        by_ratio.append(row_by_ratio(problem, name))
    text = TEXT.format(
        draws=DRAWS,
        seed=SEED,
        sigma=", ".join(map(str, SIGMA)),
        by_scale="\n".join(by_scale),
        by_ratio="\n".join(by_ratio),
    )
    (ROOT / "docs" / "certified.md").write_text(text)


if __name__ == "__main__":
    main()
