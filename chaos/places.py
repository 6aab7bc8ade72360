"""Where a run is kept while it is disturbed, and what can be done to that place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from basins.store import Files, files_at
from chaos.processes import HERE

sys.path.append(str(HERE.parent / "tests" / "store"))  # real stores on loopback, and a way to them that does harm

from proxy import Fault, Proxy, What
from servers import STORES

__all__ = ["STORES", "Bucket", "Folder", "Harm", "SmallDisk", "What"]

ROOM = 64 << 20
"""Bytes of the small file system."""


class Folder:
    """A folder on this machine's disk. It can refuse: its permissions are taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uri(self) -> str:
        return str(self.path / "run")

    def open(self) -> None:
        self.path.mkdir(parents=True)

    def close(self) -> None:
        self.allow()

    def files(self) -> Files:
        return files_at(self.uri)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to know to use it."""
        return {}

    def refuse(self) -> int:
        """No file can be made in the folders of the shards any more; how many there are."""
        for folder in self._folders():
            folder.chmod(0o555)
        return len(self._folders())

    def allow(self) -> None:
        for folder in self._folders():
            folder.chmod(0o755)

    def _folders(self) -> list[Path]:
        return [folder for folder in Path(self.uri).glob("*/case=*") if folder.is_dir()]


class SmallDisk(Folder):
    """A file system of its own, in memory: it can be full. Only root may mount one."""

    def open(self) -> None:
        super().open()
        self._mount("-t", "tmpfs", "-o", f"size={ROOM},mode=755", "chaos")

    def close(self) -> None:
        super().close()
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self, left: int) -> None:
        """Leave so many bytes of room."""
        room = os.statvfs(self.path)
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        self._mount("-o", f"remount,size={used + left}")

    def empty(self) -> None:
        """Give the room back."""
        self._mount("-o", f"remount,size={ROOM}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.path)], check=True, capture_output=True)

    @classmethod
    def possible(cls, folder: Path) -> bool:
        """Whether one can be mounted here: tried."""
        trial = cls(folder / "trial")
        try:
            trial.open()
            trial.close()
        except (OSError, subprocess.CalledProcessError):
            return False
        finally:
            with suppress(OSError):
                trial.path.rmdir()
        return True


@dataclass
class Harm(Fault):
    """A fault on the way to a store that remembers which requests it struck, and when."""

    struck_paths: list[tuple[float, str]] = field(default_factory=list)

    def strikes(self, method: str, path: str) -> bool:
        strikes = super().strikes(method, path)
        if strikes:
            self.struck_paths.append((time.time(), path))
        return strikes


class Bucket(Folder):
    """A prefix of a real object store on loopback, behind a proxy that does harm on the way."""

    def __init__(self, path: Path, store: str) -> None:
        super().__init__(path)
        self.store = STORES[store](path / "store")
        self.proxy = Proxy(self.store)

    @property
    def uri(self) -> str:
        return "s3://chaos/run"

    @property
    def environment(self) -> dict[str, str]:
        return self.store.environment | {"AWS_ENDPOINT_URL": self.proxy.endpoint}

    def open(self) -> None:
        super().open()
        self.store.__enter__()
        self.store.create("chaos")
        self.proxy.__enter__()
        os.environ.update(self.environment)

    def close(self) -> None:
        for name in self.environment:
            os.environ.pop(name, None)
        self.proxy.__exit__()
        self.store.__exit__()

    def harm(self, what: What, after: int, times: int) -> Harm:
        """Lay in wait for the next PUTs of files of shards."""
        harm = Harm("PUT", "/case=", what, after=after, times=times)
        self.proxy.faults.append(harm)
        return harm

    def heal(self, harm: Harm) -> None:
        self.proxy.faults.remove(harm)
