"""The output of `basins status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from basins.output.console.screen import duration, indented
from basins.status import VERDICTS, LayerStatus, Part, Status

FEW = 20
"""The largest number of cases that all have a row."""

MOST = {"under way": 8, "done, with saddles or censored": 8, "done, minima alone": 0, "not begun": 0}
"""With more cases, the number of rows for each kind."""


def print_status(out: Console, status: Status) -> None:
    """Print shards by case for the base and each layer, verdicts, and the drivers' activity."""
    out.print(f"{status.experiment}  {status.path}", style="bold cyan", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    layered = len(status.levels) > 1
    for name in (*[""] * layered, "case", "shards", "done", "trajectories", "counted", *VERDICTS):
        words = name in ("", "case")
        table.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for level in status.levels:
        for part in shown(level.parts):
            table.add_row(
                *[_level(level)] * layered,
                part.name,
                f"{part.shards:,}",
                _percent(part.shards_done, part.shards),
                f"{part.trajectories:,}",
                f"{part.done:,}",
                *(f"{getattr(part, name):,}" for name in VERDICTS),
            )
    indented(out, table, by=0)
    if len(status.sizes) > 1:
        sizes = " -> ".join(f"{size:,}" for size in status.sizes)
        out.print(f"  stage {len(status.sizes)}: grown from {sizes} trajectories", soft_wrap=True)
    if layered:
        counts = ", ".join(f"{count:,} {name}" for name, count in status.counts().items())
        out.print(f"  with the layers applied: {counts}", soft_wrap=True)
    for line in activity(status):
        out.print(f"  {line}", soft_wrap=True)


def shown(parts: Sequence[Part]) -> list[Part]:
    """The rows for the base or for a layer: one row per case if there are few; otherwise the sum, the cases under way,
    and for each other kind its first cases and the sum of the rest. `--json` has all."""
    if len(parts) <= FEW:
        return list(parts)
    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(_kind(part), []).append(part)
    rows = [_sum(f"all {len(parts):,} cases", parts)]
    for kind, most in MOST.items():
        found = kinds.get(kind, [])
        rows += found[:most]
        if rest := found[most:]:
            rows.append(_sum(f"{len(rest):,} {'more ' if most else ''}cases {kind}", rest))
    return rows


def _kind(part: Part) -> str:
    if part.shards_done < part.shards:
        return "under way" if part.shards_done else "not begun"
    return "done, with saddles or censored" if part.saddle or part.censored else "done, minima alone"


def _sum(name: str, parts: Sequence[Part]) -> Part:
    counts = ("shards", "shards_done", "trajectories", "counted", "done", *VERDICTS, "evaluations")
    return Part("", name, **{count: sum(getattr(part, count) for part in parts) for count in counts})


def activity(status: Status) -> list[str]:
    """The drivers' activity, one sentence each."""
    now = status.activity
    silent = "" if now.silent is None else f"last word {duration(now.silent)} ago"
    said = {
        "complete": "complete",
        "not begun": "not begun: no driver has written anything",
        "running": f"running: {now.rate:,.0f} trajectories/s, {_left(now.seconds_left)}; {silent}",
        "stopped": f"stopped, {silent}: the command that made the run resumes it",
        "stalled": f"stalled? {silent}: if no driver is at work, the command that made the run resumes it",
    }[now.state]
    lines = [said]
    if now.losses:
        lines.append(f"{now.losses:,} attempts lost and repeated; the last:")
        lines += [_loss(loss) for loss in now.last_losses]
    return lines


def _loss(loss: dict[str, Any]) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(loss["time"]))
    return f"  {at} shard {loss['shard']} of case {loss['case']}, attempt {loss['attempt']}: {loss['cause']}"


def _level(level: LayerStatus) -> str:
    return "base" if level.number == 0 else f"layer {level.number}, budget {level.budget:,}"


def _percent(done: int, of: int) -> str:
    return f"{done:,} ({100 * done / of:.3g} %)" if done < of else f"{done:,}"


def _left(seconds: float | None) -> str:
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
