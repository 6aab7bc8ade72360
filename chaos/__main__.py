"""python -m chaos: inject faults into runs until enough have hit something; compare each run with an undisturbed one.

Exit status: 0 if every run ended with the bytes of the undisturbed one and every driver ended as promised; 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from basins.execution.run import run as run_experiment
from basins.store import files_at
from chaos import deal
from chaos.cluster import RayCluster
from chaos.compare import compare, contents
from chaos.episode import Episode, Plan
from chaos.experiment import lay_down
from chaos.places import STORES, Bucket, Folder, SmallDisk
from chaos.processes import end_marked
from chaos.records import Log, Tally

ROUNDS = 6
"""How often faults that hit nothing are repeated before that counts as a violation."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    folder = options.out or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"error: {folder} is not empty; give --out a new folder", file=sys.stderr)
        return 2
    log, tally = Log(folder, sys.stdout), Tally()
    log.say(f"chaos: seed {options.seed}, {options.faults} faults, {options.shards} shards a run, into {folder}")
    scenes = []
    for scene in options.scenes.split(","):
        why = deal.skipped(scene, folder)
        if why:
            tally.skipped |= {f"{kind} ({scene})": why for kind in deal.SHARES[scene]}
            log.say(f"SKIPPED {scene}: {why}")
        else:
            scenes.append(scene)
    begun = time.monotonic()
    plan = _plan(folder, options.seed, options.shards, options.deadline, log)
    try:
        dealt = deal.counts(scenes, options.faults, set(filter(None, options.kinds.split(","))))
        _carry_on(plan, scenes, dealt, random.Random(options.seed), log, tally)
    finally:
        end_marked(plan.journal)
    lines = tally.lines()
    (folder / "tally.txt").write_text("\n".join(lines) + "\n")
    log.say("\n" + "\n".join(lines))
    log.say(f"seed {options.seed}; {time.monotonic() - begun:.0f} s; every fault is in {log.path}")
    return 0 if not tally.wrong and tally.hits >= options.faults else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="of what is done when (default: 1)")
    parser.add_argument("--faults", type=int, default=100, help="how many must hit something (default: 100)")
    parser.add_argument("--shards", type=int, default=60, help="of the run that is disturbed (default: 60)")
    parser.add_argument("--deadline", type=float, default=20.0, help="seconds for a shard (default: 20)")
    parser.add_argument("--scenes", default=",".join(deal.SHARES), help="some of: %(default)s")
    parser.add_argument("--kinds", default="", help="only these kinds of faults, as the tally names them, with commas")
    parser.add_argument("--out", type=Path, help="a new folder for logs and runs (default: a temporary one)")
    return parser


def _plan(folder: Path, seed: int, shards: int, deadline: float, log: Log) -> Plan:
    """The experiment, and its undisturbed run."""
    toml, experiment = lay_down(folder, seed, shards)
    undisturbed = folder / "undisturbed"
    run_experiment(experiment, undisturbed, on="processes", workers=2)
    files = files_at(undisturbed)
    found = contents(files)
    comparison = compare(files, found)
    if wrong := comparison.wrong():
        raise RuntimeError(f"the undisturbed run is wrong itself: {wrong}")
    log.say(f"undisturbed: {comparison.files} files, {comparison.rows:,} rows")
    journal = folder / "journal"
    journal.mkdir()
    return Plan(experiment, toml, found, folder, journal, deadline)


def _carry_on(
    plan: Plan, scenes: list[str], dealt: dict[tuple[str, str], int], chance: random.Random, log: Log, tally: Tally
) -> None:
    """Execute episodes, scene by scene, until every planned fault has hit something."""
    for scene in scenes:
        kinds = [kind for (where, kind), count in dealt.items() if where == scene for _ in range(count)]
        cluster = RayCluster(plan.journal).start() if scene == "ray" and kinds else None
        try:
            for _ in range(ROUNDS):
                missed: list[str] = []
                for hand in deal.episodes(scene, kinds, chance) if kinds else []:
                    missed += _play(plan, scene, hand, chance, cluster, log, tally)
                kinds = missed
            tally.wrong += [f"{scene}: {kind} hit nothing in {ROUNDS} rounds" for kind in kinds]
        finally:
            if cluster is not None:
                cluster.stop()


def _play(
    plan: Plan, scene: str, hand: list[str], chance: random.Random, cluster: RayCluster | None, log: Log, tally: Tally
) -> list[str]:
    """Execute one episode. Returns the faults that hit nothing or were not injected before the run was complete."""
    number, path = tally.episodes + 1, plan.folder / f"episode-{tally.episodes + 1}"
    place = Bucket(path, scene) if scene in STORES else SmallDisk(path) if scene == "small disk" else Folder(path)
    log.say(f"episode {number}, {scene}: {', '.join(hand)}")
    episode = Episode(plan, number, place, hand, chance, log.say, cluster, plain=scene == "processes")
    played = episode.play()
    tally.add(played)
    for injected, outcome in played.faults:
        log.fault(number, scene, injected, outcome)
    for line in played.wrong:
        log.say(f"  VIOLATION: {line}")
    log.say(f"  complete after {played.starts} starts; {'as undisturbed' if not played.wrong else 'NOT as it must be'}")
    return played.left + [injected.kind for injected, outcome in played.faults if not outcome.hit]


if __name__ == "__main__":
    sys.exit(main())
