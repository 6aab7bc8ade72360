"""ratios.png from results.json: how many times faster the lanes are than each peer, at the lanes' achieved error."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from run import at_error, by_peer

HERE = Path(__file__).parent
COLOURS = {"heyoka": "#d55e00", "diffrax": "#0072b2", "scipy": "#009e73"}
MARKS = ("o", "s", "^")


def main() -> None:
    cases = json.loads((HERE / "results.json").read_text())
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    seen: dict[str, tuple[str, str]] = {}
    for y, case in enumerate(reversed(cases)):
        lanes = case["rows"][0]
        for peer, rows in by_peer(case).items():
            family = peer.split()[0]
            if family not in COLOURS:
                continue
            mark = MARKS[sum(name.startswith(family) for name in seen)] if peer not in seen else seen[peer][1]
            label = None if peer in seen else peer
            seen[peer] = (family, mark)
            ratio = lanes["rate"] / at_error(rows, lanes["error"][1])
            axes.plot(ratio, y, mark, color=COLOURS[family], label=label, markersize=8, alpha=0.85)
    names = [f"({', '.join(map(str, case['widths']))})  scale {case['scale']}" for case in reversed(cases)]
    axes.set_yticks(range(len(cases)), names)
    axes.set_xscale("log")
    axes.set_xlim(1, None)
    axes.set_ylim(-0.5, len(cases) - 0.5)
    axes.grid(axis="x", which="both", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("times as many trajectories a second by basins' lanes, at the same error, one core each")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "ratios.png", dpi=120)


if __name__ == "__main__":
    main()
