"""Whether runs of a shape can test the conjecture, or theory has decided it (theory.md 3c, 3e, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ShapeVerdict(NamedTuple):
    """Whether a run of this shape can test the conjecture, and the reason in one sentence. Unpacks as (bool, str)."""

    can_test: bool
    sentence: str


def can_test(widths: Sequence[int]) -> ShapeVerdict:
    """Whether runs of widths (d_x, d_1, ..., d_H, d_y) can show something that is not proved (theory.md 3c, 3e, 5).

    The smallest shape that can is (2, 2, 2, 2) for H = 2. The statement of 3e on H = 2 is our derivation, and is itself
    to be tested.
    """
    d_x, *hidden, d_y = (int(width) for width in widths)
    # The smallest for H = 2: d_1 < d_x + d_y - 1 and d_2 < 2 d_y - 1 leave out d_y = 1, where d_2 would have to be 0.
    H, d_1, d_H = len(hidden), hidden[0], hidden[-1]
    wide = f"d_1 = {d_1} >= d_x + d_y - 1 = {d_x + d_y - 1}" if d_1 >= d_x + d_y - 1 else ""
    cannot, can = "This shape cannot test the conjecture: ", "This shape can test the conjecture: "
    if H == 1:
        ending = (
            f"and with {wide} almost every start is certified at t = 0" if wide else "a saddle would be an error here"
        )
        return ShapeVerdict(False, f"{cannot}for H = 1 it is a theorem (the paper, section 4), {ending}.")
    if max(d_x, *hidden, d_y) == 1:
        return ShapeVerdict(False, f"{cannot}with all widths 1 the saddle basin is known, and null for every H.")
    if H >= 3:
        return ShapeVerdict(True, f"{can}for H = {H} it is open.")
    if d_H >= 2 * d_y - 1:
        wide = f"d_2 = {d_H} >= 2 d_y - 1 = {2 * d_y - 1}"
    if wide:
        return ShapeVerdict(
            False,
            f"{cannot}for H = 2 and {wide} the invariants of almost every start exclude every non-strict saddle, and "
            "strict saddles attract almost none (theory.md 3e, our derivation).",
        )
    smallest = "; no smaller shape of H = 2 can test it" if max(d_x, *hidden, d_y) == 2 else ""
    return ShapeVerdict(
        True,
        f"{can}for H = 2, d_1 = {d_1} < d_x + d_y - 1 = {d_x + d_y - 1} and d_2 = {d_H} < 2 d_y - 1 = {2 * d_y - 1} it "
        f"is open whether non-strict saddles attract more than a null set{smallest}.",
    )
