"""A real Slurm on this machine: munged, slurmctld and one slurmd per node, started and ended by the caller."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_head import ended_after, free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
OWN_PROCESSES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A slurmd in its own process namespace, so that `ray stop` in a job stops no other Ray on this machine."""

CONF = """\
ClusterName=basins
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=NO
"""


def missing() -> str:
    """Why Slurm cannot be started here; empty if it can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "slurmd runs as root alone"


@dataclass(frozen=True)
class Slurm:
    """A Slurm whose nodes are idle. environment: for its commands."""

    environment: dict[str, str]

    def submit(self, script: Path, arguments: Sequence[str], *, cwd: Path, options: Sequence[str] = ()) -> str:
        """Call sbatch; returns the job's number. Its output goes to cwd/said."""
        command = ["sbatch", "--parsable", f"--output={cwd / 'said'}", *options, str(script), *arguments]
        return self.call(command, cwd).strip()

    def call(self, command: Sequence[str], cwd: Path | None = None) -> str:
        done = subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """Slurm's record of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call(["scontrol", "show", "job", number])))

    def ended(self, number: str, within: float = 400) -> dict[str, str]:
        """The same, once it has ended."""
        until = time.monotonic() + within
        while (job := self.job(number))["JobState"] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            assert time.monotonic() < until, job
            time.sleep(0.5)
        return job


@contextmanager
def slurm(nodes: int, cpus: int = 1, before_slurmd: Sequence[str] = ()) -> Iterator[Slurm]:
    """A Slurm with these numbers of nodes and CPUs, all on this machine; its processes are ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="basins-slurm-", dir="/tmp") as name, ExitStack() as started:
        folder = Path(name)
        host = socket.gethostname().partition(".")[0]
        ports = free_ports(1 + nodes)
        lines = "\n".join(
            f"NodeName=n{k} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[k]} CPUs={cpus} State=UNKNOWN"
            for k in range(1, nodes + 1)
        )
        (folder / "state").mkdir()
        (folder / "slurm.conf").write_text(CONF.format(host=host, port=ports[0], folder=folder, nodes=lines))
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "RAY_"))}
        environment = {**kept, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}

        def start(*command: str) -> None:
            log = started.enter_context((folder / f"{Path(command[0]).name}-{len(command)}.said").open("w"))
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            started.enter_context(ended_after(process))

        files = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "log", "pid", "seed")]
        start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        wait_until((folder / "munge.socket").exists, 20)
        start("slurmctld", "-D")
        for k in range(1, nodes + 1):
            start(*before_slurmd, "slurmd", "-D", "-N", f"n{k}")
        found = Slurm(environment)

        def idle() -> bool:
            said = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
            return said.stdout.split() == ["idle"]

        wait_until(idle, 60)
        yield found


def wait_until(true: object, within: float) -> None:
    assert callable(true)
    until = time.monotonic() + within
    while not true():
        assert time.monotonic() < until, f"not so within {within} s"
        time.sleep(0.2)


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
