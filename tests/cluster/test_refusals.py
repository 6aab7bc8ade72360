"""What `submit`, `follow` and `stop` refuse before anything is sent: quickly, with one line and status 2."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from basins.cli import main
from basins.job import dashboard

EXPERIMENT = """
name = "good"
seed = 1
trajectories = 4
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2, 2]
[law]
name = "gaussian"
scale = 0.5
"""
TOKEN = "a" * 64
Serve = Callable[[str | None, int, bytes], str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a valid experiment, in a home folder without a token."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.toml").write_text(EXPERIMENT)
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(token, status, body): the URL of a server that gives this answer to requests with the token (None: to all),
    and to others the answer of Ray's dashboard."""
    servers: list[ThreadingHTTPServer] = []

    def start(token: str | None, status: int, body: bytes) -> str:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = self.headers.get("Authorization")
                right = token is None or given == f"Bearer {token}"
                self.send_response(status if right else 401 if given is None else 403)
                self.send_header("Content-Length", str(len(body) if right else 0))
                self.end_headers()
                if right:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write no log."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that accepts connections and does not answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def rude() -> Iterator[str]:
    """The URL of a server that answers, but not in HTTP, like the cluster's own port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(10_000)
                connection.sendall(b"\x00\x00\x18\x04\x00")
                connection.close()

        threading.Thread(target=speak, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def answers(ray: str) -> bytes:
    return json.dumps({"version": "4", "ray_version": ray, "ray_commit": "x", "session_name": "y"}).encode()


def submit(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["submit", "good.toml", "--out", "s3://bucket/run", *arguments])


def refused(result: Result, *phrases: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for phrase in phrases:
        assert phrase in result.stderr


def test_an_invalid_experiment_is_refused_before_the_cluster_is_contacted(home: Path) -> None:
    (home / "bad.toml").write_text(EXPERIMENT.replace("scale = 0.5", "scale = -1"))
    arguments = ["bad.toml", "--out", "s3://bucket/run"]
    result = CliRunner().invoke(main, ["submit", *arguments, "--address", "http://127.0.0.1:9"])
    refused(result, "scale = -1", "above zero")
    assert result.stderr == CliRunner().invoke(main, ["run", *arguments, "--on", "inline"]).stderr


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8265", "ray://127.0.0.1:10001", "http://", "http://h:port", "http://h:99999", "http://a b:1"]
)
def test_an_invalid_address_is_refused(address: str) -> None:
    refused(submit("--address", address), f"{address!r} is not the address of a Ray dashboard", "http://HEAD:8265")


def test_a_missing_address_is_refused() -> None:
    refused(submit(), "--address")


@pytest.mark.parametrize(
    ("out", "phrase"), [("gs://b/x", "no store for gs:// addresses"), ("s3:/b/x", "lost a slash"), ("s3://", "bucket")]
)
def test_an_invalid_place_for_a_run_is_refused(out: str, phrase: str) -> None:
    result = CliRunner().invoke(main, ["submit", "good.toml", "--out", out, "--address", "http://127.0.0.1:9"])
    refused(result, out, phrase)


def test_an_address_where_nothing_listens_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused(submit("--address", url), url, "no dashboard answers (Connection refused)", "http://HEAD:8265")
        for command in ("follow", "stop"):
            result = CliRunner().invoke(main, [command, "some-job", "--address", url])
            refused(result, "no dashboard answers (Connection refused)")


def test_a_silent_server_is_refused(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dashboard.CONNECT + dashboard.ANSWER < 10
    monkeypatch.setattr(dashboard, "ANSWER", 0.2)
    began = time.monotonic()
    refused(submit("--address", silent), "what listens there does not answer within 0.2 s")
    assert time.monotonic() - began < 100  # it does return


def test_a_server_that_does_not_speak_http_is_refused(rude: str) -> None:
    refused(submit("--address", rude), "what listens there does not speak HTTP", "http://HEAD:8265")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"not found"), (200, b"[]"), (200, b"{}"), (502, b"")]
)
def test_a_server_that_is_not_ray_is_refused(serve: Serve, status: int, body: bytes) -> None:
    refused(submit("--address", serve(None, status, body)), f"is not Ray's dashboard (HTTP {status})")


def test_a_missing_token_is_refused(serve: Serve) -> None:
    url = serve(TOKEN, 200, answers(version("ray")))
    refused(submit("--address", url), "requires a token, and there is none here", "RAY_AUTH_TOKEN_PATH")


def test_a_wrong_token_is_refused(serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(TOKEN, 200, answers(version("ray")))
    wrong = home / "wrong"
    wrong.write_text("b" * 64 + "\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(wrong))
    refused(submit("--address", url), "the cluster there has another token", "RAY_AUTH_TOKEN_PATH")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "c" * 64)
    refused(submit("--address", url), "the cluster there has another token")
    assert "b" * 64 not in submit("--address", url).output


def test_an_unreadable_token_is_refused(serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "nowhere"))
    refused(submit("--address", serve(TOKEN, 200, b"")), "nowhere", "the token is not readable", "No such file")


@pytest.mark.parametrize("kept", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"])
def test_another_version_of_ray_is_refused_with_the_right_token(
    serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """The token is found wherever Ray looks for it, and then the version is compared."""
    (home / ".ray").mkdir()
    file = home / (".ray/auth_token" if kept.startswith("~") else "token")
    file.write_text(TOKEN + "\n")
    if not kept.startswith("~"):
        monkeypatch.setenv(kept, str(file) if kept.endswith("PATH") else TOKEN)
    url = serve(TOKEN, 200, answers("2.9.3"))
    refused(submit("--address", url), f"version skew: ray = 2.9.3 there, {version('ray')} here")


def test_a_variable_that_is_not_set_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused although this Ray accepts jobs from anyone, which gives a warning; RAY_ADDRESS is ignored."""
    monkeypatch.delenv("NO_SUCH", raising=False)
    for name in dashboard.OVERRIDES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    result = submit("--address", serve(None, 200, answers(version("ray"))), "--env", "NO_SUCH")
    warning, error = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.match(r"warning: http://127\.0\.0\.1:\d+ accepts jobs from anyone: start Ray with RAY_AUTH_MODE", warning)
    assert error == "error: env: 'NO_SUCH': not set here; export it, then give only its name"
