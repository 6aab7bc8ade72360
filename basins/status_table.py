"""What `basins status` prints."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from basins.screen import duration
from basins.status import VERDICTS, Level, Status


def print_status(out: Console, status: Status) -> None:
    """Shards by case for the base and each layer, verdicts, and what drivers do."""
    out.print(f"{status.experiment}  {status.path}", style="bold cyan", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("", "case", "shards", "done", "trajectories", "counted", *VERDICTS):
        table.add_column(name, justify="left" if name in ("", "case") else "right")
    for level in status.levels:
        for part in level.parts:
            table.add_row(
                _level(level),
                part.name,
                f"{part.shards:,}",
                _percent(part.shards_done, part.shards),
                f"{part.trajectories:,}",
                f"{part.done:,}",
                *(f"{getattr(part, name):,}" for name in VERDICTS),
            )
    out.print(table)
    if len(status.levels) > 1:
        counts = ", ".join(f"{count:,} {name}" for name, count in status.counts().items())
        out.print(f"  with the layers: {counts}", soft_wrap=True)
    for line in activity(status):
        out.print(f"  {line}", soft_wrap=True)


def activity(status: Status) -> list[str]:
    """What drivers do, a sentence each."""
    now = status.activity
    silent = "" if now.silent is None else f"last word {duration(now.silent)} ago"
    said = {
        "complete": "complete",
        "not begun": "not begun: no driver has written a word",
        "running": f"running: {now.rate:,.0f} trajectories/s, {_left(now.seconds_left)}; {silent}",
        "stopped": f"stopped, {silent}: the command that made it goes on",
        "stalled": f"stalled? {silent}: if no driver is at work, the command that made it goes on",
    }[now.state]
    lines = [said]
    if now.losses:
        lines.append(f"{now.losses:,} attempts lost, each tried again; the last:")
        lines += [_loss(loss) for loss in now.last_losses]
    return lines


def _loss(loss: dict[str, Any]) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(loss["time"]))
    return f"  {at} shard {loss['shard']} of case {loss['case']}, attempt {loss['attempt']}: {loss['cause']}"


def _level(level: Level) -> str:
    return "base" if level.number == 0 else f"layer {level.number}, budget {level.budget:,}"


def _percent(done: int, of: int) -> str:
    return f"{done:,} ({100 * done / of:.3g} %)" if done < of else f"{done:,}"


def _left(seconds: float | None) -> str:
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
