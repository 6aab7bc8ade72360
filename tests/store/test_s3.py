"""An object store that fails: what is put is there whole or not at all, and what is refused is one line. Real stores
behind a proxy that cuts, garbles and loses.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from experiments import tiny
from proxy import Fault, Proxy
from servers import STORES, Store

from basins.cli import main
from basins.errors import RunError
from basins.execution.shard import work
from basins.store import create_or_resume, files_at, layout, s3, s3_client
from basins.store.s3 import S3Files

MIB = 1 << 20


@pytest.fixture(params=["seaweedfs", pytest.param("swift", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def uri(store: Store, use: Callable[[Store], str]) -> str:
    return use(store)


@pytest.fixture
def proxy(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy between the tests and the store."""
    with Proxy(store) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


# --- an upload that fails --------------------------------------------------------------------------------------------

SMALL, IN_PARTS = 5_000, 11 * MIB


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize(("what", "after"), [("cut", 100), ("flip", 100), ("503", 0)])
def test_a_failed_upload_leaves_the_old_object(
    what: Any, after: int, old: bytes | None, proxy: Proxy, uri: str
) -> None:
    """The old object or none remains, even after the failed stream is deleted."""
    files = files_at(uri)
    if old is not None:
        files.put("victim", old)
    proxy.faults.append(Fault("PUT", "victim", what, after=after, times=100))
    with pytest.raises(RunError, match="cannot write victim: "):
        files.put("victim", os.urandom(SMALL))
    assert proxy.faults[0].struck >= 1
    proxy.faults.clear()
    assert files.exists("victim") == (old is not None)
    assert files.paths("") == ["victim"] * (old is not None)
    if old is not None:
        assert files.get("victim") == old


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "uploads", "503"),
        ("PUT", "partNumber=1", "cut"),
        ("PUT", "partNumber=2", "cut"),
        ("POST", "Id=", "503"),
    ],
)
def test_a_failed_upload_in_parts_leaves_the_old_object(
    method: str, path: str, what: Any, proxy: Proxy, uri: str
) -> None:
    """It may fail when it begins, at a part, or when the parts are joined."""
    files = files_at(uri)
    files.put("victim", b"old")
    proxy.faults.append(Fault(method, path, what, after=MIB // 2, times=100))
    with pytest.raises(RunError, match="cannot write victim: "):
        files.put("victim", bytes(IN_PARTS))
    assert proxy.faults[0].struck >= 2
    proxy.faults.clear()
    assert files.get("victim") == b"old"


@pytest.mark.parametrize(
    ("what", "after", "size"),
    [
        ("cut", 2_000, SMALL),
        ("deaf", 0, SMALL),
        *(
            pytest.param(what, after, size, marks=pytest.mark.slow)
            for what, after, size in (
                ("flip", 2_000, SMALL),
                ("503", 0, SMALL),
                ("cut", 2_000, IN_PARTS),
                ("flip", 2_000, IN_PARTS),
                ("503", 0, IN_PARTS),
                ("deaf", 0, IN_PARTS),
            )
        ),
    ],
)
def test_a_failed_upload_is_retried(what: Any, after: int, size: int, proxy: Proxy, uri: str) -> None:
    """deaf: the store accepted the request, but its answer was lost."""
    files, data = files_at(uri, patient=True), os.urandom(size)
    proxy.faults.append(Fault("PUT", "victim", what, after=after, times=2))
    files.put("victim", data)
    assert proxy.faults[0].struck == 2
    assert files.get("victim") == data


def test_a_store_that_keeps_other_bytes_is_detected(proxy: Proxy, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These stores check what arrives. For one that does not, the object is checked after the put."""
    files = files_at(uri)
    send = S3Files._send
    monkeypatch.setattr(S3Files, "_send", lambda files, key, data: send(files, key, data.slice(1)))
    with pytest.raises(RunError, match="cannot write victim: the store holds other bytes than those it was sent"):
        files.put("victim", b"12345")
    monkeypatch.setattr(S3Files, "_send", lambda files, key, data: None)
    with pytest.raises(RunError, match="other bytes"):
        files.put("nowhere", b"12345")


def test_an_object_whose_etag_is_not_an_md5_is_read_back(
    proxy: Proxy, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a store that encrypts with its own key: then every put and get compares bytes."""
    monkeypatch.setattr(s3, "_etag", lambda file: "0" * 32)
    files = files_at(uri)
    files.put("file", b"12345")
    proxy.requests.clear()
    files.put("file", b"12345")
    assert [method for method, _ in proxy.requests] == ["PUT", "HEAD", "GET"]
    assert files.get("file") == b"12345"
    send = S3Files._send
    monkeypatch.setattr(S3Files, "_send", lambda files, key, data: send(files, key, s3.pa.py_buffer(b"54321")))
    with pytest.raises(RunError, match="other bytes"):
        files.put("file", b"12345")


def test_ctrl_c_between_open_and_write_commits_no_empty_object(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow commits a stream that is dropped, which would leave an empty object here."""
    files = S3Files(uri)
    files.put("victim", b"old")
    client = files._client

    class Interrupting:
        def __getattr__(self, name: str) -> Any:
            return getattr(client.single, name)

        def open_output_stream(self, *arguments: Any, **options: Any) -> Any:
            stream = client.single.open_output_stream(*arguments, **options)
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.5)  # without waiting, the old object would be read
            return stream

    monkeypatch.setattr(files, "_client", s3_client.Client(Interrupting(), client.parts))
    start = threading.Thread.start

    def slow_start(thread: threading.Thread) -> None:
        start(thread)
        time.sleep(0.2)  # the thread works before its pool knows it

    monkeypatch.setattr(threading.Thread, "start", slow_start)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            files.put("victim", b"new")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert S3Files(uri).get("victim") == b"new"


def test_pyarrow_commits_an_empty_object_for_a_dropped_stream(uri: str) -> None:
    """The fault that the test above guards against exists. If pyarrow fixes it, the thread in S3Files._put can go."""
    files = S3Files(uri)
    stream = files._client.single.open_output_stream(files._key("empty"))
    del stream
    assert files.get("empty") == b""


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_failed_read_is_retried_and_is_not_damage(proxy: Proxy, uri: str) -> None:
    from basins.store import parquet

    table = s3.pa.table({"id": range(1000)})
    files = files_at(uri, patient=True)
    files.put("part", parquet.encode(table, {}))
    proxy.faults.append(Fault("GET", "part", "503", times=2))
    assert parquet.read(files, "part")["id"].to_pylist() == list(range(1000))
    proxy.faults.append(Fault("GET", "part", "503", times=1000))
    with pytest.raises(RunError, match="cannot read part: the store says HTTP status 503") as raised:
        parquet.read(files_at(uri), "part")
    assert "damaged" not in str(raised.value)


# --- what a worker asks for ------------------------------------------------------------------------------------------


def test_a_worker_lists_nothing_and_puts_each_file_once(proxy: Proxy, uri: str) -> None:
    experiment = tiny()
    create_or_resume(files_at(uri), experiment)
    key = experiment.cases[0].key
    work(uri, key, 0, 1)()  # so that this process is connected to the store
    proxy.requests.clear()
    work(uri, key, 1, 1)()
    bucket, prefix = s3_client.parse(uri)
    assert proxy.asked("PUT") == [f"/{bucket}/{prefix}/{layout.part(kind, key, 1)}" for kind in layout.COMMIT_ORDER]
    objects = [path for _, path in proxy.requests]
    assert all(path.startswith(f"/{bucket}/{prefix}/") and "?" not in path for path in objects), objects
    assert {method for method, _ in proxy.requests} == {"HEAD", "GET", "PUT"}
    assert set(proxy.asked("GET")) == {f"/{bucket}/{prefix}/manifest.json"}
    # The manifest (HEAD, GET); whether the shard is there (HEAD); three files (PUT, HEAD).
    assert len(proxy.requests) == 2 + 1 + 6


# --- a stalled store -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_waits_for_a_stalled_store(store: Store, uri: str) -> None:
    files = files_at(uri, patient=True)
    files.put("file", b"old")
    store.stop()
    begun = time.monotonic()
    timer = threading.Timer(40, store.go_on)  # longer than any one request may take
    timer.start()
    files.put("file", b"new")
    assert time.monotonic() - begun > 39
    timer.join()
    assert files.get("file") == b"new"


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://", "'' is not a bucket name; give s3://BUCKET/PREFIX"),
        ("s3:///run", "'' is not a bucket name"),
        ("s3://a b/run", "'a b' is not a bucket name"),
        ("s3://key:secret@bucket/run", "credentials in the address; leave them out"),
        ("s3://bucket/run?region=x", "not a prefix that every reader accepts; use letters, digits"),
        ("s3://bucket/a//b", "not a prefix that every reader accepts"),
        ("s3://bucket/a/../b", "not a prefix that every reader accepts"),
    ],
)
def test_an_invalid_address_is_refused(address: str, words: str) -> None:
    with pytest.raises(RunError) as raised:
        files_at(address)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_which_strings_are_addresses() -> None:
    assert s3_client.parse("s3://bucket") == s3_client.parse("s3://bucket/") == ("bucket", "")
    assert s3_client.parse("s3://my.bucket-1/a/b_c=d.e/") == ("my.bucket-1", "a/b_c=d.e")


def refused(arguments: list[str]) -> str:
    """What `basins` says, which has to be one line and status 2, with nothing waited out: within 10 seconds where the
    machine has nothing else to do.
    """
    begun = time.monotonic()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert time.monotonic() - begun < 30
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(tiny().text)
    return str(tmp_path / "tiny.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses these credentials; correct AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "refuses these credentials; correct AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no credentials for http://127.0.0.1"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached; start it, or correct"),
        ({"AWS_ENDPOINT_URL": "http://nowhere.invalid"}, "http://nowhere.invalid cannot be reached"),
        pytest.param({"AWS_ENDPOINT_URL": None}, "Amazon S3 ", marks=pytest.mark.slow),  # asks for its name
        ({}, "no bucket 'none-such' at http://127.0.0.1"),
    ],
)
def test_refused_credentials_give_a_one_line_error(
    changes: dict[str, str | None],
    words: str,
    uri: str,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # without credentials of the developer's own
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    run = uri if changes else "s3://none-such/run"
    for command in (["run", experiment, "--out", run, "--on", "inline"], ["estimate", run]):
        assert words in refused(command)


def test_a_stopped_store_gives_a_one_line_error(store: Store, uri: str, experiment: str) -> None:
    store.stop()
    try:
        for command in (["run", experiment, "--out", uri, "--on", "inline"], ["estimate", uri]):
            s3_client.connected.cache_clear()
            assert "does not answer; check that it is running" in refused(command)
    finally:
        store.go_on()


@pytest.mark.slow
@pytest.mark.parametrize("name", STORES)
def test_a_full_store_gives_a_one_line_error(
    name: str, use: Callable[[Store], str], experiment: str, tmp_path: Path
) -> None:
    if missing := STORES[name].absent():
        pytest.skip(f"{missing} is not installed (requirements-dev.txt has it)")
    with STORES[name](tmp_path / "store", full=True) as store:  # type: ignore[call-arg]
        run = use(store)
        assert "space" in refused(["run", experiment, "--out", run, "--on", "inline"])


def test_a_missing_run_is_reported_as_for_a_folder(uri: str) -> None:
    assert f"{uri}: not a run: no manifest.json" in refused(["estimate", uri])
