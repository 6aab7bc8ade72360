"""What `submit`, `follow` and `stop` refuse before anything is sent: one line, status 2, and soon."""

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
    """A working folder with a good experiment, in a home without a token."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.toml").write_text(EXPERIMENT)
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(token, status, body): the URL of a server that answers so whoever has the token (None: everyone), and as
    Ray's dashboard does whoever has not."""
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
                """Say nothing."""

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
    """The URL of what accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def rude() -> Iterator[str]:
    """The URL of what speaks, but not HTTP, as the cluster's own port does."""
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


def test_an_experiment_that_run_refuses_is_refused_before_anyone_is_asked(home: Path) -> None:
    (home / "bad.toml").write_text(EXPERIMENT.replace("scale = 0.5", "scale = -1"))
    arguments = ["bad.toml", "--out", "s3://bucket/run"]
    result = CliRunner().invoke(main, ["submit", *arguments, "--address", "http://127.0.0.1:9"])
    refused(result, "scale = -1", "above zero")
    assert result.stderr == CliRunner().invoke(main, ["run", *arguments, "--on", "inline"]).stderr


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8265", "ray://127.0.0.1:10001", "http://", "http://h:port", "http://h:99999", "http://a b:1"]
)
def test_no_address(address: str) -> None:
    refused(submit("--address", address), f"{address!r} is not the address of a Ray dashboard", "http://HEAD:8265")


def test_no_address_given() -> None:
    refused(submit(), "--address")


@pytest.mark.parametrize(
    ("out", "phrase"), [("gs://b/x", "no store for gs:// addresses"), ("s3:/b/x", "lost a slash"), ("s3://", "bucket")]
)
def test_no_place_for_a_run(out: str, phrase: str) -> None:
    result = CliRunner().invoke(main, ["submit", "good.toml", "--out", out, "--address", "http://127.0.0.1:9"])
    refused(result, out, phrase)


def test_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused(submit("--address", url), url, "no dashboard answers (Connection refused)", "http://HEAD:8265")
        for command in ("follow", "stop"):
            result = CliRunner().invoke(main, [command, "some-job", "--address", url])
            refused(result, "no dashboard answers (Connection refused)")


def test_what_listens_says_nothing(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dashboard.CONNECT + dashboard.ANSWER < 10
    monkeypatch.setattr(dashboard, "ANSWER", 0.2)
    began = time.monotonic()
    refused(submit("--address", silent), "what listens there does not answer within 0.2 s")
    assert time.monotonic() - began < 100  # it returns at all


def test_what_listens_does_not_speak_http(rude: str) -> None:
    refused(submit("--address", rude), "what listens there does not speak HTTP", "http://HEAD:8265")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"not found"), (200, b"[]"), (200, b"{}"), (502, b"")]
)
def test_what_answers_is_no_ray(serve: Serve, status: int, body: bytes) -> None:
    refused(submit("--address", serve(None, status, body)), f"is not Ray's dashboard (HTTP {status})")


def test_no_token_here(serve: Serve) -> None:
    url = serve(TOKEN, 200, answers(version("ray")))
    refused(submit("--address", url), "asks for a token, and there is none here", "RAY_AUTH_TOKEN_PATH")


def test_another_token(serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(TOKEN, 200, answers(version("ray")))
    wrong = home / "wrong"
    wrong.write_text("b" * 64 + "\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(wrong))
    refused(submit("--address", url), "the cluster there has another token", "RAY_AUTH_TOKEN_PATH")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "c" * 64)
    refused(submit("--address", url), "the cluster there has another token")
    assert "b" * 64 not in submit("--address", url).output


def test_a_token_that_is_not_readable(serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "nowhere"))
    refused(submit("--address", serve(TOKEN, 200, b"")), "nowhere", "the token is not readable", "No such file")


@pytest.mark.parametrize("kept", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"])
def test_another_ray_behind_the_right_token(
    serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """The token is found wherever Ray looks for it, and the version is compared once it is."""
    (home / ".ray").mkdir()
    file = home / (".ray/auth_token" if kept.startswith("~") else "token")
    file.write_text(TOKEN + "\n")
    if not kept.startswith("~"):
        monkeypatch.setenv(kept, str(file) if kept.endswith("PATH") else TOKEN)
    url = serve(TOKEN, 200, answers("2.9.3"))
    refused(submit("--address", url), f"version skew: ray = 2.9.3 there, {version('ray')} here")


def test_a_variable_that_is_not_set(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused though this Ray accepts jobs from anyone, which is warned about; RAY_ADDRESS does not lead astray."""
    monkeypatch.delenv("NO_SUCH", raising=False)
    for name in dashboard.OVERRIDES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    result = submit("--address", serve(None, 200, answers(version("ray"))), "--env", "NO_SUCH")
    warning, error = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.match(r"warning: http://127\.0\.0\.1:\d+ accepts jobs from anyone: start Ray with RAY_AUTH_MODE", warning)
    assert error == "error: env: 'NO_SUCH': not set here; export it, then give its name alone"
