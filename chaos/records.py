"""The records of a session: for each fault a line of JSON and a readable line; and the tally."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from chaos.episode import Played
from chaos.faults import Injected
from chaos.judge import Outcome

HIT_NOTHING = "hit nothing, to be repeated"


@dataclass
class Row:
    """The tally of one kind of fault."""

    injected: int = 0
    hit: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    recovered: Counter[str] = field(default_factory=Counter)


@dataclass
class Tally:
    """Counts over all episodes."""

    rows: dict[str, Row] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    episodes: int = 0
    starts: int = 0
    files: int = 0
    trajectories: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        return sum(row.hit for row in self.rows.values())

    def add(self, played: Played) -> None:
        self.episodes += 1
        self.starts += played.starts
        self.wrong += played.wrong
        for injected, outcome in played.faults:
            row = self.rows.setdefault(injected.kind, Row())
            row.injected += 1
            row.hit += outcome.hit
            row.phases.update(outcome.phases)
            row.recovered.update(outcome.recovered)
        if played.comparison is not None:
            self.files += played.comparison.files
            self.trajectories += played.comparison.rows
            self.lost += played.comparison.lost
            self.doubled += played.comparison.doubled

    def lines(self) -> list[str]:
        """The table and its totals."""
        wide = max([len(name) for name in [*self.rows, *self.skipped]], default=0)
        lines = [f"{'fault':<{wide}}  injected  hit  shards interrupted, and in what; who recovered them"]
        for name, row in self.rows.items():
            lines.append(
                f"{name:<{wide}}  {row.injected:>8}  {row.hit:>3}  {_counts(row.phases)}; {_counts(row.recovered)}"
            )
        lines += [f"{name:<{wide}}   skipped       {why}" for name, why in self.skipped.items()]
        lines.append(f"{'all':<{wide}}  {sum(row.injected for row in self.rows.values()):>8}  {self.hits:>3}")
        lines.append(
            f"{self.episodes} runs, {self.starts} starts of the command, {self.files:,} files and "
            f"{self.trajectories:,} rows compared with the undisturbed run: "
            f"{self.lost} rows lost, {self.doubled} doubled, "
            + ("every byte the same" if not self.wrong else f"{len(self.wrong)} VIOLATIONS")
        )
        return lines + [f"VIOLATION: {line}" for line in self.wrong]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "-"


class Log:
    """Writes chaos.jsonl in a folder, and readable lines to a stream."""

    def __init__(self, folder: Path, stream: TextIO) -> None:
        self.path, self.stream = folder / "chaos.jsonl", stream

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

    def fault(self, episode: int, scene: str, injected: Injected, outcome: Outcome) -> None:
        """Record one fault and what it hit."""
        record = {
            "episode": episode,
            "scene": scene,
            "kind": injected.kind,
            "time": injected.at,
            "done": injected.words,
            "pids": injected.pids,
            "hit": outcome.hit,
            "interrupted": outcome.shards,
            "phases": outcome.phases,
            "recovered": outcome.recovered,
            "seen": outcome.seen,
            "wrong": outcome.wrong,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        hit = "; ".join(f"{shard} -> {how}" for shard, how in zip(outcome.shards, outcome.recovered, strict=True))
        self.say(f"  {injected.kind}: {hit or HIT_NOTHING}")
