"""The places where the runs are stored, and the faults that each place supports."""

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

sys.path.append(str(HERE.parent / "tests" / "store"))  # real stores on loopback, and a proxy that injects faults

from proxy import Fault, Proxy, What
from servers import STORES

__all__ = ["STORES", "Bucket", "Folder", "Harm", "SmallDisk", "What"]

ROOM = 64 << 20
"""Size of the small file system in bytes."""


class Folder:
    """A folder on this machine's disk. It can refuse writes, by a change of its permissions."""

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
        """The environment variables that a program needs to use it."""
        return {}

    def refuse(self) -> int:
        """Make the folders of the shards read-only. Returns how many there are."""
        for folder in self._folders():
            folder.chmod(0o555)
        return len(self._folders())

    def allow(self) -> None:
        for folder in self._folders():
            folder.chmod(0o755)

    def _folders(self) -> list[Path]:
        return [folder for folder in Path(self.uri).glob("*/case=*") if folder.is_dir()]


class SmallDisk(Folder):
    """A separate file system in memory, which can be filled up. Only root may mount one."""

    def open(self) -> None:
        super().open()
        self._mount("-t", "tmpfs", "-o", f"size={ROOM},mode=755", "chaos")

    def close(self) -> None:
        super().close()
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self, left: int) -> None:
        """Shrink the file system until only `left` bytes are free."""
        room = os.statvfs(self.path)
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        self._mount("-o", f"remount,size={used + left}")

    def empty(self) -> None:
        """Restore its size."""
        self._mount("-o", f"remount,size={ROOM}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.path)], check=True, capture_output=True)

    @classmethod
    def possible(cls, folder: Path) -> bool:
        """Whether one can be mounted here, found by trying."""
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
    """A fault on the connection to a store, which records the requests that it hit and when."""

    struck_paths: list[tuple[float, str]] = field(default_factory=list)

    def strikes(self, method: str, path: str) -> bool:
        strikes = super().strikes(method, path)
        if strikes:
            self.struck_paths.append((time.time(), path))
        return strikes


class Bucket(Folder):
    """A prefix of a real object store on loopback, behind a proxy that injects faults."""

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
        """Arm the fault for the next PUTs of shard files."""
        harm = Harm("PUT", "/case=", what, after=after, times=times)
        self.proxy.faults.append(harm)
        return harm

    def heal(self, harm: Harm) -> None:
        self.proxy.faults.remove(harm)
