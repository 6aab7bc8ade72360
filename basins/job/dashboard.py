"""The dashboard of a Ray cluster: checks what answers at its address, and submits, follows and stops jobs.

Ray's own client (ray.job_submission) submits and stops jobs and follows their logs. This module itself checks what
answers at the address and the state of a job, with requests and a timeout, because the client does not report these
problems in one clear line. Measured with Ray 2.60, the client waits without end for a server that accepts a connection
and says nothing; goes where RAY_ADDRESS points, whatever address it is given; follows a redirect to another server;
accepts a cluster of Ray 2.9; reports a missing or different token in four lines, a server that is not Ray by a JSON
error, and an address with ftp:// as a missing module ftp; and takes 0.6 to 1 s and 900 modules to import, for which an
error should not wait.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from basins.errors import ArgumentError, RunError
from basins.extras import importing, required
from basins.home import in_home

CONNECT, ANSWER = 2.0, 5.0
"""Seconds within which the dashboard must accept a connection, and then answer."""

PATIENCE = 60.0
"""Seconds for which a lost connection is retried while a job is followed."""

SILENCE = 60.0
"""Seconds without a line of the log after which the client reconnects, since the connection may be dead."""

YOUNG, NO_AGENT = 60.0, "No available agent"
"""Seconds within which a head that answers must have an agent that accepts jobs, and Ray's message until then."""

INTERRUPTED = 130
"""The exit status of a job that was stopped."""

OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Environment variables that Ray's client prefers to the address it is given."""

JOB = "a job on a Ray cluster"
START = "give the dashboard's address, http://HEAD:8265 where Ray was started with its defaults"
TOKEN = "give the cluster's own in RAY_AUTH_TOKEN_PATH (a file) or RAY_AUTH_TOKEN"


class Dashboard:
    """The dashboard at `address`, such as http://10.0.0.1:8265.

    open: whether it accepts jobs without a token, as a Ray does that was started without RAY_AUTH_MODE=token.

    Raises ArgumentError for an invalid address; MissingExtraError without Ray; RunError if nothing answers, if what
    answers is not Ray, or if that Ray has another token or version than this side. It takes seconds, not minutes.
    """

    def __init__(self, address: str) -> None:
        self.address = _base(address)
        required("ray", JOB)
        token = _token()
        self.headers: dict[str, str] = {}
        self.open = self._probe(token)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if token is not None:
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # without it Ray's client sends no token
        with importing("ray", JOB):
            from ray.job_submission import JobSubmissionClient
        for handler in logging.getLogger("ray").handlers:  # these handlers report uploads and closed connections
            handler.setLevel(logging.WARNING)
        with _without(*OVERRIDES), self._as_refusals():
            self.client: Any = JobSubmissionClient(self.address)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def submit(self, job: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
        """Submit a job under this id and return the id. Waits up to YOUNG seconds for a cluster that has just
        started."""
        until = time.monotonic() + YOUNG
        while True:
            try:
                with self._as_refusals():
                    return str(
                        self.client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=runtime_env)
                    )
            except RunError as error:
                if NO_AGENT not in error.what or time.monotonic() > until:
                    raise
            time.sleep(1.0)

    def follow(self, job: str, say: Callable[[str], None]) -> int:
        """Pass a job's log to `say` from the beginning, as it grows, until the job ends; return the job's exit status.

        The status is INTERRUPTED if the job was stopped. Raises RunError if the job does not exist or could not be
        started, or if the cluster is gone for longer than PATIENCE.
        """
        printed, lost = 0, None
        while True:
            try:
                info = self.info(job)
                lost = None
                if info["status"] != "PENDING":
                    printed = asyncio.run(self._tail(job, printed, say))
                    info = self.info(job)
            except _Gone as error:
                now = time.monotonic()
                lost = lost or now
                if now - lost > PATIENCE:
                    raise self._refusal(
                        f"lost the cluster: {error.what}", f"job {job} may still be running: basins follow {job}"
                    ) from None
            else:
                if info["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
                    return self._status(job, info)
            time.sleep(1.0)

    def stop(self, job: str) -> str:
        """Stop a job as Ctrl-C would. Returns its state: "STOPPED", or the state in which it had already ended."""
        self.info(job)
        with self._as_refusals():
            self.client.stop_job(job)
        while (status := self.info(job)["status"]) in ("PENDING", "RUNNING"):
            time.sleep(0.2)
        return str(status)

    def info(self, job: str) -> dict[str, Any]:
        """Ray's record of a job: `status`, `message`, `driver_exit_code`, ... Raises RunError if there is no such
        job."""
        answer = self._get(f"/api/jobs/{job}")
        if answer.status_code == 404:
            raise self._refusal(f"no job {job!r}", "`ray job list` lists the existing jobs")
        if answer.status_code != 200:
            raise _Gone(f"HTTP {answer.status_code} for job {job!r}", where=self.address, remedy="try again")
        known: dict[str, Any] = answer.json()
        return known

    async def _tail(self, job: str, printed: int, say: Callable[[str], None]) -> int:
        """Pass the log to `say` after its first `printed` characters, until the job or the connection ends, or for
        SILENCE seconds nothing comes. Returns the number of characters printed by then."""
        import aiohttp

        passed = 0
        lines = aiter(self.client.tail_job_logs(job))
        try:
            while True:
                text = await asyncio.wait_for(anext(lines), SILENCE)
                new = text[max(0, printed - passed) :]
                passed += len(text)
                if new:
                    say(new)
                    printed += len(new)
        except (StopAsyncIteration, TimeoutError, RuntimeError, aiohttp.ClientError, OSError):
            return printed

    def _status(self, job: str, info: dict[str, Any]) -> int:
        status = info["driver_exit_code"]
        if status is not None:
            return int(status)
        if info["status"] == "STOPPED":
            return INTERRUPTED
        lines = [line.strip() for line in str(info["message"]).splitlines() if line.strip()] or ["no reason given"]
        raise self._refusal(f"Ray could not run job {job}: {lines[-1]}", "see the cluster's own log")

    # --- what answers at the address --------------------------------------------------------------------------------

    def _probe(self, token: str | None) -> bool:
        """Whether the dashboard accepts jobs without a token."""
        answer = self._get("/api/version")
        guarded = answer.status_code in (401, 403)
        if guarded:
            if token is None:
                raise self._refusal("the cluster there requires a token, and there is none here", TOKEN)
            self.headers["Authorization"] = f"Bearer {token}"
            answer = self._get("/api/version")
            if answer.status_code in (401, 403):
                raise self._refusal("the cluster there has another token", TOKEN)
        try:
            version = answer.json()["ray_version"]
        except (ValueError, KeyError, TypeError):
            what = f"what answers there is not Ray's dashboard (HTTP {answer.status_code})"
            raise self._refusal(what, START) from None
        here = importlib.metadata.version("ray")
        if version != here:
            what = f"version skew: ray = {version} there, {here} here"
            raise self._refusal(what, "install the same Ray on both sides")
        return not guarded

    def _get(self, path: str) -> Any:
        """The dashboard's response. Raises _Gone if there is none."""
        with importing("ray", JOB):  # which brings requests
            import requests
        timeout = (CONNECT, ANSWER)
        try:
            return requests.get(self.address + path, headers=self.headers, timeout=timeout, allow_redirects=False)
        except requests.exceptions.ConnectTimeout:
            what = f"nothing answers within {CONNECT:g} s"
        except requests.exceptions.Timeout:
            what = f"what listens there does not answer within {ANSWER:g} s"
        except requests.exceptions.SSLError:
            what = "no secure connection: http:// and https:// are mixed up, or the certificate is not trusted here"
        except (requests.exceptions.RequestException, OSError) as error:
            what = _reason(error)
        raise _Gone(what, where=self.address, remedy=START) from None

    def _refusal(self, what: str, remedy: str) -> RunError:
        return RunError(what, where=self.address, remedy=remedy)

    @contextmanager
    def _as_refusals(self) -> Iterator[None]:
        """Turn what Ray's client raises into a RunError of one line."""
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:  # requests' are OSErrors
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise self._refusal(f"Ray refused: {lines[-1]}", "see the cluster's own log") from error


class _Gone(RunError):
    """Nothing answers, perhaps temporarily."""


def _base(address: str) -> str:
    """The address without a final slash. Raises ArgumentError if it cannot be the address of a dashboard."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() for letter in address):
        raise ArgumentError(f"{address!r} is not the address of a Ray dashboard", where="address", remedy=START)
    return address.rstrip("/")


def _token() -> str | None:
    """This user's token, from the places where Ray looks for it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(path) if path else in_home(".ray", "auth_token")
    if file is None:
        return None
    try:
        return file.read_text().strip() or None
    except OSError as error:
        if path:
            what = f"the token is not readable: {error.strerror}"
            raise RunError(what, where=path, remedy="correct RAY_AUTH_TOKEN_PATH") from None
        return None


def _reason(error: BaseException) -> str:
    """Why there was no answer: the system's own message, which requests wraps several times."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror and not isinstance(inner, ConnectionResetError):
            return f"no dashboard answers ({inner.strerror})"
        inner = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
    return "what listens there does not speak HTTP"


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Remove these environment variables for the duration."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
