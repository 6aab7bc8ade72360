"""Draw docs/pictures/certified.png: the share certified at t = 0 by shape and scale, from the table of certified.md.

python docs/pictures/certified.py        (needs matplotlib: the extra `report`)
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from basins.output.figures import encoded
from basins.output.figures.certified import ARGUMENTS, certified

HERE = Path(__file__).parent
SHAPES = ("(2, 2, 2)", "(3, 3, 2)", "(2, 2, 2, 2)", "(5, 3, 3, 1)", "diabetes (10, 4, 4, 1)", "iris (4, 4, 4, 3)")
SCALES = (0.1, 0.5, 1.0, 2.0)


def shares(page: str) -> pd.DataFrame:
    """The page's first table by scale: shape, scale, the shares by any argument and by each, draws. Those of rate and
    ranks, which no scale changes, are the page's pooled ones at every scale."""
    draws = int(re.search(r"from ([\d,]+) draws", page)[1].replace(",", ""))
    rows = []
    for line in page.split("## By the ratio")[0].splitlines():
        cells = line.strip("| ").split(" | ")
        if line.startswith("| ") and cells[0] in SHAPES:
            rate, rank = (float(cell) / 100 for cell in cells[2:4])
            for scale, level, any_of_them in zip(SCALES, cells[5:9], cells[9:13], strict=True):
                rows.append((cells[0], scale, float(any_of_them) / 100, rate, rank, float(level) / 100, draws))
    return pd.DataFrame(rows, columns=["shape", "scale", *ARGUMENTS, "draws"])


def main() -> None:
    figure = certified(shares((HERE.parent / "certified.md").read_text()))
    (HERE / "certified.png").write_bytes(encoded(figure, "png"))


if __name__ == "__main__":
    main()
