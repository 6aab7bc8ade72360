"""The output of `basins codim`."""

from __future__ import annotations

from rich.console import Console

from basins.estimate.sentences import widths_text
from basins.output.console.screen import columns, heading, indented, paragraph
from basins.rare.codim import Codimension, Counted
from basins.rare.ladder import Exponent


def print_codimension(out: Console, name: str, found: Codimension) -> None:
    """Print the exponents beside the expected values, the counts they come from, and a sentence."""
    stratum = found.stratum
    modes = "{" + ",".join(map(str, stratum.modes)) + "}"
    widths = widths_text(found.widths)
    heading(out, name, f"{widths}, I({stratum.index}), S = {modes}, loss {stratum.loss:.6g}")
    shown = columns("moved", "dimensions", "m_u", "interval", "sum of rates", "interval", text=(0,))
    for one in found.counted:
        number, rates = one.number, one.rates
        cells = (f"{number.value:.3f}", _interval(number), f"{rates.value:.4g}", _interval(rates))
        shown.add_row(one.moved, str(one.dimensions), *cells)
    theory = "" if found.theory is None else f"{found.theory} (theory.md 2)"
    if theory:
        shown.add_row("formula", "", theory, "", "", "")
    shown.add_row("Hessian", "", str(len(found.rates)), "", f"{sum(found.rates):.4g}", "")
    indented(out, shown)
    counts = columns("stay", "eps", "t", "share of the ball", text=(0,))
    for one in found.counted:
        for rung in (*one.by_eps, *one.by_t):
            share = f"10^{rung.log_share / 2.302585092994046:.2f}"
            counts.add_row(
                f"{rung.stayed:,} of {rung.samples:,}, {one.moved}", f"{rung.eps:.3g}", f"{rung.t:.4g}", share
            )
    indented(out, counts)
    paragraph(out, _sentence(found))
    if found.kappa is not None:
        paragraph(
            out,
            "The planted point is strict. Non-strict points of this stratum are not left exponentially: theory.md 5"
            f" expects (heuristic) that a share like t^-{found.kappa:g} of all starts is still beside them at t;"
            " `basins tail` measures that exponent.",
        )


def _sentence(found: Codimension) -> str:
    expected = len(found.rates) if found.theory is None else found.theory
    source = "the Hessian" if found.theory is None else "the formula"
    rates = ", ".join(f"{rate:.4g}" for rate in found.rates)
    head = f"The share of an eps-ball that stays scales like eps^-{_whole(found.counted)}; {source} says {expected}. "
    verdict = (
        "Every interval contains the expected value"
        if found.holds
        else "NOT every interval contains the expected value"
    )
    return f"{head}{verdict} (95 %, jointly). Unstable rates at the saddle: {rates}."


def _whole(counted: tuple[Counted, ...]) -> str:
    return " and ".join(sorted({f"{one.number.value:.2f}" for one in counted}))


def _interval(found: Exponent) -> str:
    return f"[{found.low:.4g}, {found.high:.4g}]"
