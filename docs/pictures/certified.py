"""Draw docs/pictures/certified.png: the share certified at t = 0 by shape and scale, from the table of certified.md.

python docs/pictures/certified.py        (needs matplotlib: the extra `report`)
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from basins.output.figures import encoded
from basins.output.figures.certified import certified

HERE = Path(__file__).parent
SHAPES = ("(2, 2, 2)", "(3, 3, 2)", "(2, 2, 2, 2)", "(5, 3, 3, 1)", "diabetes (10, 4, 4, 1)", "iris (4, 4, 4, 3)")
SCALES = (0.1, 0.5, 1.0, 2.0)


def shares(page: str) -> pd.DataFrame:
    """The columns by scale of the page's first table: shape, scale, share, draws."""
    draws = int(re.search(r"from ([\d,]+) draws", page)[1].replace(",", ""))
    rows = []
    for line in page.split("## By the ratio")[0].splitlines():
        cells = line.strip("| ").split(" | ")
        if line.startswith("| ") and cells[0] in SHAPES:
            rows += [
                (cells[0], scale, float(cell) / 100, draws) for scale, cell in zip(SCALES, cells[5:9], strict=True)
            ]
    return pd.DataFrame(rows, columns=["shape", "scale", "share", "draws"])


def main() -> None:
    figure = certified(shares((HERE.parent / "certified.md").read_text()))
    figure.set_size_inches(6.4, 3.6)
    (HERE / "certified.png").write_bytes(encoded(figure, "png"))


if __name__ == "__main__":
    main()
