"""Decides by the seed which faults are injected, how many of each, and in which episodes."""

from __future__ import annotations

import random
from pathlib import Path

from chaos.driver import can_drop_privileges
from chaos.faults import shuffled
from chaos.places import STORES, SmallDisk

SHARES: dict[str, dict[str, int]] = {
    "ray": {
        "worker killed": 14,
        "worker stopped": 6,
        "raylet killed": 9,
        "raylet stopped": 6,
        "driver killed": 8,
        "second driver": 4,
        "head killed": 5,
    },
    "processes": {
        "worker killed": 4,
        "worker killed in a put": 8,
        "worker stopped": 4,
        "driver killed": 5,
        "second driver": 3,
        "store refuses": 5,
        "store delays": 3,
    },
    "small disk": {"store full": 6, "worker killed in a put": 3, "driver killed": 1},
    "Swift": {
        "upload cut": 3,
        "upload damaged": 2,
        "answer lost": 2,
        "request refused": 2,
        "request unanswered": 1,
        "worker killed": 2,
        "driver killed": 1,
    },
    "SeaweedFS": {
        "upload cut": 3,
        "upload damaged": 2,
        "answer lost": 2,
        "request refused": 2,
        "request unanswered": 1,
        "worker killed": 2,
        "driver killed": 1,
    },
}
"""Shares of the kinds of faults, for some 120 faults, by scene: the runner or the store of the run."""

TOGETHER = 8
"""The most faults in an episode."""


def skipped(scene: str, folder: Path) -> str:
    """Why a scene cannot be used on this machine; empty if it can."""
    if scene == "small disk":
        return "" if SmallDisk.possible(folder) else "no file system may be mounted here: it takes root"
    if scene in STORES:
        absent = STORES[scene].absent()
        return f"not installed: {absent}" if absent else ""
    if scene == "processes":
        return "" if can_drop_privileges() else "no setpriv (util-linux) here"
    return ""


def counts(
    scenes: list[str], faults: int, kinds: frozenset[str] | set[str] = frozenset()
) -> dict[tuple[str, str], int]:
    """How often each kind is to hit in each scene: in the proportions of SHARES, every kind once before any is
    repeated.

    kinds: only these; if empty, all.
    """
    shares = {
        (scene, kind): share for scene in scenes for kind, share in SHARES[scene].items() if not kinds or kind in kinds
    }
    if not shares:
        return {}
    dealt = dict.fromkeys(shares, 0)
    for _ in range(faults):
        dealt[max(shares, key=lambda one: (dealt[one] == 0, shares[one] / (dealt[one] + 1)))] += 1
    return {one: count for one, count in dealt.items() if count}


ONCE = ("second driver", "head killed")
"""Kinds that occur at most once per episode: both drivers need work, and the death of a head ends the cluster."""


def episodes(scene: str, kinds: list[str], chance: random.Random) -> list[list[str]]:
    """The faults of a scene, divided into episodes of about the same size."""
    once = {kind: kinds.count(kind) for kind in ONCE}
    number = max(-(-len(kinds) // TOGETHER), *once.values(), 1)
    order = chance.sample([kind for kind in kinds if kind not in ONCE], len(kinds) - sum(once.values()))
    hands = [order[k::number] for k in range(number)]
    for kind, count in once.items():
        for hand in hands[:count]:
            hand.append(kind)
    return [shuffled(hand, chance) for hand in hands if hand]
