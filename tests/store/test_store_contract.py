"""The contract of basins/store/files.py, tested on every implementation: a folder, one that behaves like NFS, and an
object store on each of two real servers.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from nfs import NFS
from servers import Store

from basins.errors import RunError
from basins.execution.base import search_path
from basins.store import Files, files_at, parquet

TENANTS = ["folder", "nfs", "seaweedfs", pytest.param("swift", marks=pytest.mark.slow)]
MIB = 1 << 20


class Place(NamedTuple):
    """A place for files. elsewhere: inside this context another machine acts."""

    name: str
    uri: str
    elsewhere: Callable[[], AbstractContextManager[None]]

    def files(self) -> Files:
        return files_at(self.uri)


@pytest.fixture(params=TENANTS)
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[Store], str],
) -> Iterator[Place]:
    if request.param == "folder":
        yield Place("folder", str(tmp_path / "runs" / "one"), nullcontext)
    elif request.param == "nfs":
        nfs = NFS(tmp_path, monkeypatch)
        yield Place("nfs", str(tmp_path / "runs" / "one"), nfs.elsewhere)
        monkeypatch.undo()
    else:
        yield Place(request.param, f"{use(request.getfixturevalue(request.param))}/runs/one", nullcontext)


def test_the_operations(place: Place) -> None:
    files = place.files()
    assert files.paths("") == []
    for missing in ("nothing", "no/folder/file"):
        assert not files.exists(missing)
        for verb in (files.get, files.open):
            with pytest.raises(FileNotFoundError) as raised:
                verb(missing)
            assert raised.value.args == (missing,)
        files.delete(missing)
    files.put("b/case=1/two", b"longer than what comes")
    files.put("a", pa.py_buffer(b"1"))
    files.put("b/case=1/two", b"22")
    files.put("empty", b"")
    assert files.paths("") == ["a", "b/case=1/two", "empty"]
    assert files.paths("b/") == files.paths("b/case=1/") == ["b/case=1/two"]
    assert files.paths("c/") == []
    assert (files.get("a"), files.get("b/case=1/two"), files.get("empty")) == (b"1", b"22", b"")
    assert all(files.exists(path) for path in ("a", "b/case=1/two", "empty"))
    assert not files.exists("b")
    with files.open("b/case=1/two") as source:
        assert source.read(1) == b"2"
    files.delete("a")
    files.delete("empty")
    assert files.paths("") == ["b/case=1/two"]
    assert files.sweep() == []
    assert place.files().uri == files.uri == place.uri


def test_a_prefix_does_not_match_a_longer_folder_name(place: Place) -> None:
    here, there = place.files(), files_at(f"{place.uri}-more")
    there.put("a", b"theirs")
    assert here.paths("") == []
    here.put("b/c", b"ours")
    here.put("b-and/c", b"ours")
    assert here.paths("b/") == ["b/c"]
    assert there.paths("") == ["a"]


def test_a_file_put_on_another_machine_is_found(place: Place) -> None:
    """Even if this machine has looked for it before and remembers that it was missing."""
    files = place.files()
    files.put("case=1/first", b"1")
    assert not files.exists("case=1/second")
    assert not files.exists("case=2/first")
    with place.elsewhere():
        for path in ("case=1/second", "case=2/first"):
            place.files().put(path, b"2")
    assert files.exists("case=1/second")
    assert files.exists("case=2/first")
    assert files.paths("") == ["case=1/first", "case=1/second", "case=2/first"]
    files.put("case=1/second", b"3")
    assert files.get("case=1/second") == b"3"


def test_a_large_file(place: Place) -> None:
    """It is sent to an object store in parts."""
    files = place.files()
    data = random.Random(1).randbytes(11 * MIB)
    files.put("large", data)
    assert files.get("large") == data
    with files.open("large") as source:
        source.seek(10 * MIB)
        assert source.read() == data[10 * MIB :]


def test_no_reader_sees_part_of_a_file(place: Place) -> None:
    """While two others keep replacing each other's file, which have different lengths."""
    files = place.files()
    contents = {b"a" * 100_000, b"b" * 300_001}
    files.put("file", b"a" * 100_000)
    stop = threading.Event()

    def put_over() -> None:
        mine = place.files()
        while not stop.is_set():
            for content in contents:
                mine.put("file", content)

    writer = threading.Thread(target=put_over)
    writer.start()
    try:
        seen = [files.get("file") for _ in range(60)]
    finally:
        stop.set()
        writer.join()
    assert {len(one) for one in seen} <= {len(one) for one in contents}
    assert set(seen) <= contents


def test_writers_of_the_same_bytes_do_no_harm(place: Place) -> None:
    data = random.Random(2).randbytes(50_000)
    threads = [threading.Thread(target=lambda: place.files().put("file", data)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.files().get("file") == data
    assert place.files().paths("") == ["file"]


KILLED = """
import sys
from basins.store import files_at
files = files_at(sys.argv[1])
for k in range(10_000):
    files.put("file", bytes([97 + k % 26]) * 400_000)
    print(k, flush=True)
"""


@pytest.mark.parametrize("place", [one for one in TENANTS if one != "nfs"], indirect=True)
def test_a_put_that_is_killed_leaves_the_old_file_or_the_new(place: Place) -> None:
    # Not the folder on NFS: the calls of another process are not patched.
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, place.uri],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search_path()},
    )
    assert writer.stdout is not None
    for _ in range(5):
        assert writer.stdout.readline()
    time.sleep(random.Random(3).uniform(0, 0.02))
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    files = place.files()
    content = files.get("file")
    assert len(content) == 400_000
    assert len(set(content)) == 1
    assert files.paths("") == ["file"]
    files.sweep()
    assert files.sweep() == []


def test_parquet_is_read_in_place(place: Place) -> None:
    files = place.files()
    table = pa.table({"id": pa.array(range(100_000), pa.int64()), "t": [0.5] * 100_000})
    data = parquet.encode(table, {"case": "x"})
    files.put("part", data)
    assert parquet.read(files, "part", ["t"]).column_names == ["t"]
    assert parquet.read(files, "part")["id"].to_pylist() == list(range(100_000))
    assert parquet.footer(files, "part") == (100_000, {"case": "x"})
    files.put("half", data.to_pybytes()[: data.size // 2])
    for reader in (parquet.read, parquet.footer):
        with pytest.raises(RunError, match="half is damaged"):
            reader(files, "half")
        with pytest.raises(FileNotFoundError):
            reader(files, "none")


def test_the_nfs_faults_are_injected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault is injected in one pass through the operations. The suite above would not notice if it were not."""
    nfs = NFS(tmp_path, monkeypatch)
    place = Place("nfs", str(tmp_path / "runs" / "one"), nfs.elsewhere)
    test_the_operations(place)
    test_a_file_put_on_another_machine_is_found(place._replace(uri=str(tmp_path / "runs" / "two")))
    monkeypatch.undo()
    assert all(nfs.happened[fault] for fault in ("create", "rename", "stale", "absent", "fsync"))
