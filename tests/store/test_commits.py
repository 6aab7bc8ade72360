"""A commit is complete or absent, wherever it is interrupted; a put is durable and leaves no debris."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from forms import DEEP_LINEAR
from one_shard import experiment, limits, part

from basins.errors import RunError
from basins.run_tables import open_run
from basins.store import (
    ShardTables,
    commit,
    commit_shard,
    create_or_resume,
    files_at,
    is_committed,
    layout,
    missing_shards,
)
from basins.store.local import LocalFiles
from basins.store.rows import tables_of


class Crash(BaseException):
    """The machine stops here."""


class CrashingFiles(LocalFiles):
    """A folder whose machine stops before its k-th put."""

    def __init__(self, root: str, k: int) -> None:
        super().__init__(root)
        self.left = k

    def put(self, path: str, data: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash
        super().put(path, data)


def check_crashes(folder: Path, tables: ShardTables) -> None:
    """Wherever a commit is interrupted, a file of rows never exists before the other two."""
    for k in range(4):
        root = folder / str(k)
        manifest = create_or_resume(files_at(root), experiment())
        case = manifest.cases[0]
        files = CrashingFiles(str(root), k)
        if k < 3:
            with pytest.raises(Crash):
                commit_shard(files, manifest, case, 0, tables)
        else:
            commit_shard(files, manifest, case, 0, tables)
        there = [kind for kind in ("visits", "blocks", "trajectories") if part(root, kind, 0).exists()]
        assert ("trajectories" in there) == (k == 3)
        assert len(there) == k
        assert is_committed(files, case.key, 0) == (k == 3)
        assert (0 in missing_shards(files, manifest, case)) == (k < 3)
        assert open_run(root).contiguous_prefix(case.key) == (k == 3)


def test_trajectory_rows_are_written_last(tmp_path: Path) -> None:
    check_crashes(tmp_path, tables_of(DEEP_LINEAR, 0, limits()))


def test_a_reversed_commit_order_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "COMMIT_ORDER", tuple(reversed(layout.COMMIT_ORDER)))
    with pytest.raises(AssertionError):
        check_crashes(tmp_path, tables_of(DEEP_LINEAR, 0, limits()))


def calls_of_put(files: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system calls of one put over an existing file, in order."""
    asked: list[str] = []
    names: dict[int, str] = {}
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("open", "fsync", "replace")}

    def opened(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        descriptor: int = real["open"](path, flags, mode, **options)
        names[descriptor] = "folder" if os.path.isdir(path) else "file"
        asked.append(f"open {names[descriptor]}{' new' if flags & os.O_EXCL else ''}")
        return descriptor

    def synced(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        asked.append(f"fsync {names[descriptor]}{f' of {size}' if names[descriptor] == 'file' else ''}")
        real["fsync"](descriptor)

    def replaced(source: Any, target: Any) -> None:
        same_folder = os.path.dirname(source) == os.path.dirname(target)
        asked.append(f"rename {'here' if same_folder else 'elsewhere'}")
        real["replace"](source, target)

    with monkeypatch.context() as patch:
        for name, stand_in in (("open", opened), ("fsync", synced), ("replace", replaced)):
            patch.setattr(os, name, stand_in)
        files.put("a/file", b"12345")
    return asked


DURABLE = ["open file new", "fsync file of 5", "rename here", "open folder", "fsync folder"]


def test_put_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = LocalFiles(str(tmp_path))
    files.put("a/file", b"old")
    assert calls_of_put(files, monkeypatch) == DURABLE
    assert (tmp_path / "a" / "file").read_bytes() == b"12345"


class Hasty(LocalFiles):
    """Writes in place."""

    def put(self, path: str, data: Any) -> None:
        descriptor = os.open(self.root / path, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


class Careless(LocalFiles):
    """Forgets the folder."""

    def _sync(self, folder: Path) -> None: ...


class Early(LocalFiles):
    """Syncs before it writes."""

    def _write(self, path: Path, data: Any) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            os.fsync(file.fileno())
            file.write(data)


@pytest.mark.parametrize("kind", [Hasty, Careless, Early])
def test_a_put_that_is_not_durable_is_detected(
    kind: type[LocalFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalFiles(str(tmp_path)).put("a/file", b"old")
    assert calls_of_put(kind(str(tmp_path)), monkeypatch) != DURABLE


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_put_that_fails_leaves_the_old_file_and_no_debris(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a place without permission, at each of the three calls."""
    files = LocalFiles(str(tmp_path))
    files.put("a/file", b"old")

    def fails(*arguments: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(RunError, match="cannot write a/file: No space left on device") as raised:
            files.put("a/file", b"new")
    assert raised.value.where == str(tmp_path)
    assert (tmp_path / "a" / "file").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_debris_is_hidden_and_swept(tmp_path: Path) -> None:
    files = LocalFiles(str(tmp_path))
    files.put("visits/case=x/part-00000000.parquet", b"1")
    debris = tmp_path / "visits" / "case=x" / ".part-00000001.parquet.77-abcd.tmp"
    debris.write_bytes(b"half")
    keep = tmp_path / ".hidden"
    keep.write_bytes(b"somebody's")
    assert files.paths("visits/case=x/") == ["visits/case=x/part-00000000.parquet"]
    assert files.sweep() == [str(debris.relative_to(tmp_path))]
    assert keep.exists()
    assert not debris.exists()
    assert files.sweep() == []


def test_a_put_whose_temporary_file_is_swept_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, other = LocalFiles(str(tmp_path)), LocalFiles(str(tmp_path))
    replace, swept = os.replace, []  # type: ignore[var-annotated]

    def sweep_first(source: Any, target: Any) -> None:
        if len(swept) < 2:
            swept.extend(other.sweep())
        replace(source, target)

    monkeypatch.setattr(os, "replace", sweep_first)
    files.put("a/file", b"whole")
    assert len(swept) == 2
    assert (tmp_path / "a" / "file").read_bytes() == b"whole"


def test_files_in_a_folder_keep_the_contract(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    assert files.paths("") == []
    for missing in ("nothing", "no/folder/file"):
        assert not files.exists(missing)
        for verb in (files.get, files.open):
            with pytest.raises(FileNotFoundError):
                verb(missing)
        files.delete(missing)
    files.put("b/two", b"2")
    files.put("a", pa.py_buffer(b"1"))
    files.put("b/two", b"22")
    assert files.paths("") == ["a", "b/two"]
    assert files.paths("b/") == ["b/two"]
    assert (files.get("a"), files.get("b/two"), files.open("b/two").read(1)) == (b"1", b"22", b"2")
    files.delete("a")
    assert files.paths("") == ["b/two"]
    assert files_at(f"file://{tmp_path}").get("b/two") == b"22"
