"""The stores that the tests start: they answer, stall when stopped, and leave no process behind."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from servers import STORES, Store


@pytest.mark.slow
@pytest.mark.parametrize("name", STORES)
def test_a_test_store_starts_stops_and_ends(name: str, tmp_path: Path) -> None:
    if missing := STORES[name].absent():
        pytest.skip(f"{missing} is not installed (requirements-dev.txt has it)")
    with STORES[name](tmp_path / "store") as store:
        pids = [process.pid for process in store.processes]
        store.create("bucket")
        store.stop()
        with pytest.raises(TimeoutError):
            answer(store, timeout=1)
        store.go_on()
        answer(store, timeout=20)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not [socket for port in store.ports for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


@pytest.mark.slow
def test_a_store_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next((kind for kind in STORES.values() if not kind.absent()), None)
    if kind is None:
        pytest.skip("no store is installed (requirements-dev.txt has two)")
    monkeypatch.setattr(kind, "_start", lambda store: store._run("false", "false"))
    with pytest.raises(RuntimeError, match=r"is not up: .*false.* ended"):
        kind(tmp_path / "store").__enter__()


def answer(store: Store, timeout: float) -> None:
    try:
        urllib.request.urlopen(store.endpoint, timeout=timeout).close()
    except urllib.error.HTTPError as error:  # without credentials it refuses, which is an answer
        error.close()
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, BaseException) else error from None
