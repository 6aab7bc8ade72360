"""The kinds of faults and how they are injected. judge.py determines what they hit."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chaos.cluster import RayCluster
from chaos.driver import Driver
from chaos.journal import Held, Journal
from chaos.places import Bucket, Folder, Harm, SmallDisk, What
from chaos.processes import Process, alive, kill

NEVER = float("inf")

STARTING = 10.0
"""Seconds that a driver may take until its first shard; a second driver on Ray takes most of that."""


@dataclass
class Injected:
    """A fault that was injected. pids: the affected processes; held: the shards in flight at that moment.

    undo: reverts the fault at the time undo_at, or after the drivers have ended (NEVER: only then); undone: when that
    happened. alone: no other fault until then. driver: the affected driver, or the one that it started. harm: the fault
    on the connection to an object store.
    """

    kind: str
    words: str
    pids: tuple[int, ...] = ()
    held: list[Held] = field(default_factory=list)
    at: float = field(default_factory=time.time)
    undo: Callable[[], None] | None = None
    undo_at: float = NEVER
    undone: float = NEVER
    alone: bool = False
    driver: Driver | None = None
    harm: Harm | None = None


class Disturbed(Protocol):
    """What a fault may ask and do of the episode that it strikes (episode.py).

    deadline: seconds for a shard; heal_at: when a node that is lacking is given back.
    """

    chance: random.Random
    journal: Journal
    place: Folder
    cluster: RayCluster | None
    deadline: float
    heal_at: float

    def start(self) -> Driver: ...

    def running(self) -> list[Driver]: ...

    def in_flight(self) -> list[Held]: ...

    def missing(self) -> int: ...

    def new_cluster(self) -> None: ...


Inject = Callable[[Disturbed], Injected | None]
"""Does it, where there is something in flight to be hit; None where there is not just now."""

KINDS: dict[str, Inject] = {}
"""The kinds by name, as in the tally."""


def kind(name: str) -> Callable[[Inject], Inject]:
    def named(inject: Inject) -> Inject:
        KINDS[name] = inject
        return inject

    return named


# --- workers ----------------------------------------------------------------------------------------------------------


@kind("worker killed")
def worker_killed(episode: Disturbed) -> Injected | None:
    held = episode.in_flight()
    if not held:
        return None
    victim = episode.chance.choice(held)
    kill(victim.pid)
    return Injected("worker killed", f"SIGKILL to worker {victim.pid} at {victim}", (victim.pid,), held)


@kind("worker killed in a put")
def worker_killed_in_put(episode: Disturbed) -> Injected | None:
    """The disk is made slow, so that a put takes long enough to be met: between the temporary file and its name."""
    if not episode.in_flight():
        return None
    slow = episode.journal.folder / "slow"
    slow.write_text("0.4")
    try:
        held = _wait(lambda: [one for one in episode.in_flight() if one.phase.startswith("putting")], 10)
        if not held:
            return None
        time.sleep(episode.chance.uniform(0, 0.3))
        victim = episode.chance.choice(held)
        kill(victim.pid)
    finally:
        slow.unlink()
    return Injected("worker killed in a put", f"SIGKILL to worker {victim.pid} at {victim}", (victim.pid,), held)


@kind("worker stopped")
def worker_stopped(episode: Disturbed) -> Injected | None:
    held = episode.in_flight()
    if not held:
        return None
    victim = episode.chance.choice(held)
    return _stop("worker stopped", f"worker {victim.pid} at {victim}", victim.pid, held, episode)


def _stop(name: str, whom: str, pid: int, held: list[Held], episode: Disturbed) -> Injected:
    """Past its deadline it goes on, or is killed as it stands."""
    process = Process(pid)
    process.send(signal.SIGSTOP)
    end = episode.chance.choice([signal.SIGCONT, signal.SIGCONT, signal.SIGKILL])
    return Injected(
        name,
        f"SIGSTOP to {whom}; {end.name} later",
        (pid,),
        held,
        undo=lambda: _after_stop(process, end, episode),
        undo_at=time.time() + episode.deadline + episode.chance.uniform(2, 6),
    )


def _after_stop(process: Process, end: signal.Signals, episode: Disturbed) -> None:
    process.send(end)
    process.close()
    if episode.cluster is not None:
        episode.heal_at = time.time() + 3


# --- nodes ------------------------------------------------------------------------------------------------------------


@kind("raylet killed")
def raylet_killed(episode: Disturbed) -> Injected | None:
    found = _raylet(episode)
    if found is None:
        return None
    pid, held = found
    kill(pid)
    episode.heal_at = time.time() + episode.chance.uniform(0, 4)
    there = "; ".join(str(one) for one in held if one.parent == pid)
    return Injected("raylet killed", f"SIGKILL to raylet {pid}, its worker at {there}", (pid,), held)


@kind("raylet stopped")
def raylet_stopped(episode: Disturbed) -> Injected | None:
    found = _raylet(episode)
    if found is None:
        return None
    pid, held = found
    there = "; ".join(str(one) for one in held if one.parent == pid)
    return _stop("raylet stopped", f"raylet {pid}, its worker at {there}", pid, held, episode)


def _raylet(episode: Disturbed) -> tuple[int, list[Held]] | None:
    """A raylet whose worker holds a shard, and all shards that are held; the head's works for nobody."""
    assert episode.cluster is not None
    held = episode.in_flight()
    raylets = sorted({one.parent for one in held if one.parent in episode.cluster.raylets and alive(one.parent)})
    return (episode.chance.choice(raylets), held) if raylets else None


@kind("head killed")
def head_killed(episode: Disturbed) -> Injected | None:
    """The head's control store, or its raylet, which the driver is connected to; then a new cluster."""
    cluster, held = episode.cluster, episode.in_flight()
    assert cluster is not None
    if not held or not episode.running():
        return None
    name = episode.chance.choice(["gcs", "head"])
    pid: int = cluster.state[name]
    kill(pid)
    words = f"SIGKILL to the head's {'gcs_server' if name == 'gcs' else 'raylet'} {pid}, {len(held)} shards in flight"
    return Injected(
        "head killed", words, (pid,), held, undo=episode.new_cluster, alone=True, driver=episode.running()[0]
    )


# --- drivers ----------------------------------------------------------------------------------------------------------


@kind("driver killed")
def driver_killed(episode: Disturbed) -> Injected | None:
    drivers, held = episode.running(), episode.in_flight()
    if not drivers or not held:
        return None
    driver = episode.chance.choice(drivers)
    words = f"SIGKILL to driver {driver.pid}, {len(held)} shards in flight, {episode.missing()} missing"
    at = time.time()  # its workers complete the shards that they have
    driver.kill()
    return Injected("driver killed", words, (driver.pid,), held, at=at, driver=driver)


@kind("second driver")
def second_driver(episode: Disturbed) -> Injected | None:
    """It need not wait for the first to be at work: on Ray its start takes as long as half of a run."""
    if len(episode.running()) != 1 or episode.missing() < 30:
        return None
    driver = episode.start()
    words = f"a second driver {driver.pid} beside {episode.running()[0].pid}, {episode.missing()} shards missing"
    injected = Injected("second driver", words, (driver.pid,), episode.in_flight(), driver=driver, alone=True)
    injected.undo, injected.undo_at = _nothing, injected.at + STARTING
    return injected


def _nothing() -> None:
    """The undo of a second driver: nothing, but other faults wait until it has started."""


# --- stores -----------------------------------------------------------------------------------------------------------


@kind("store full")
def store_full(episode: Disturbed) -> Injected | None:
    place = episode.place
    assert isinstance(place, SmallDisk)
    held = episode.in_flight()
    if not held:
        return None
    left = episode.chance.choice([0, 1 << 16, 1 << 18])
    place.fill(left)
    words = f"the file system is full: {left} bytes left"
    return Injected("store full", words, held=held, undo=place.empty, alone=True)


@kind("store refuses")
def store_refuses(episode: Disturbed) -> Injected | None:
    held, place = episode.in_flight(), episode.place
    assert isinstance(place, Folder)
    if not held or not place.refuse():
        return None
    words = "the folders of the shards may not be written any more"
    return Injected("store refuses", words, held=held, undo=place.allow, alone=True)


@kind("store delays")
def store_delays(episode: Disturbed) -> Injected | None:
    """An fsync takes longer than a shard may: the first put that comes is held."""
    if not episode.in_flight():  # else the driver's own files are, before there is a shard
        return None
    slow, seconds = episode.journal.folder / "slow", episode.deadline + 5
    slow.write_text(str(seconds))
    try:
        held = _wait(lambda: [one for one in episode.in_flight() if one.phase.startswith("putting")], 10)
        time.sleep(0.2)
    finally:
        slow.unlink()
    return Injected("store delays", f"an fsync takes {seconds:.0f} s", held=held) if held else None


def _harm(name: str, words: str, what: What, most: int) -> None:
    """A kind of fault: damage to the next PUTs of shards on their way to an object store."""

    @kind(name)
    def inject(episode: Disturbed) -> Injected | None:
        held, place = episode.in_flight(), episode.place
        assert isinstance(place, Bucket)
        if not held:
            return None
        times = episode.chance.randint(1, most)
        harm = place.harm(what, episode.chance.randrange(1000), times)
        said = f"{words}{f', {times} times' if times > 1 else ''}"
        injected = Injected(name, said, held=held, undo=lambda: place.heal(harm), harm=harm)
        injected.undo_at = injected.at + 20
        return injected


_harm("upload cut", "the connection is cut within the body of a put", "cut", 2)
_harm("upload damaged", "a bit of a put is turned on its way", "flip", 1)
_harm("answer lost", "the store has it, and its answer is lost", "deaf", 2)
_harm("request refused", "503 instead of an answer", "503", 4)
_harm("request unanswered", "nothing goes on within the body of a put", "silence", 1)


def _wait(look: Callable[[], list[Held]], limit: float) -> list[Held]:
    """Poll until something is found or time is up."""
    until = time.monotonic() + limit
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def shuffled(kinds: list[str], chance: random.Random) -> list[str]:
    """The faults in random order, except that a second driver comes first, while there is work for two, and a fault of
    the head, which ends the cluster, comes last."""
    order = chance.sample(kinds, len(kinds))
    return sorted(order, key=lambda name: (name != "second driver", name == "head killed"))
