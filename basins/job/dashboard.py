"""A Ray cluster's dashboard: who answers there, and the jobs it is given, followed and stopped.

Ray's own client (ray.job_submission) submits and stops jobs and follows their logs. Who answers, and how a job stands,
is asked here, by requests and with a timeout, since the client gives none of these a line of its own. Measured with
Ray 2.60: it waits without end for a server that accepts a connection and says nothing; goes where RAY_ADDRESS points
whatever address it is given; follows a redirect to another server; takes a cluster of Ray 2.9 for its own; says of a
missing or another token four lines, of what is no Ray a JSON error, and of an address with ftp:// that there is no
module ftp; and takes 0.6 to 1 s and 900 modules to import, which a refusal need not wait for.
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
from basins.home import in_home

CONNECT, ANSWER = 2.0, 5.0
"""Seconds within which the dashboard must accept a connection, and answer."""

PATIENCE = 60.0
"""Seconds for which a lost connection is tried again while a job is followed."""

SILENCE = 60.0
"""Seconds without a line of the log after which the connection is made anew: it may be dead."""

YOUNG, NO_AGENT = 60.0, "No available agent"
"""Seconds within which a head that answers must have an agent that takes jobs, and what Ray says before."""

INTERRUPTED = 130
"""The exit status of a job that was stopped."""

OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Variables that Ray's client prefers to the address it is given."""

START = "give the dashboard's address, http://HEAD:8265 where Ray was started with its defaults"
TOKEN = "give the cluster's own in RAY_AUTH_TOKEN_PATH (a file) or RAY_AUTH_TOKEN"


class Dashboard:
    """The dashboard at `address`, such as http://10.0.0.1:8265.

    open: whether it takes jobs from anyone who reaches it, as a Ray does that was started without RAY_AUTH_MODE=token.

    Raises ArgumentError for an address that is none; RunError where nothing answers, or no Ray, or one with another
    token or another version than the Ray here. Seconds, not minutes.
    """

    def __init__(self, address: str) -> None:
        self.address = _base(address)
        token = _token()
        self.headers: dict[str, str] = {}
        self.open = self._probe(token)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if token is not None:
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # without it Ray's client sends none
        from ray.job_submission import JobSubmissionClient

        for handler in logging.getLogger("ray").handlers:  # which tell of uploads and of closed connections
            handler.setLevel(logging.WARNING)
        with _without(*OVERRIDES), self._as_refusals():
            self.client: Any = JobSubmissionClient(self.address)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def submit(self, job: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
        """Submit a job under this id; the id. Waits up to YOUNG for a cluster that has only just been started."""
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
        """Say a job's log from the beginning, as it comes, until the job ends; its own exit status.

        INTERRUPTED for one that was stopped. Raises RunError for one that is not there, that could not be started, or
        whose cluster is gone for longer than PATIENCE.
        """
        said, lost = 0, None
        while True:
            try:
                info = self.info(job)
                lost = None
                if info["status"] != "PENDING":
                    said = asyncio.run(self._tail(job, said, say))
                    info = self.info(job)
            except _Gone as error:
                now = time.monotonic()
                lost = lost or now
                if now - lost > PATIENCE:
                    raise self._refusal(
                        f"lost the cluster: {error.what}", f"job {job} may go on: basins follow {job}"
                    ) from None
            else:
                if info["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
                    return self._status(job, info)
            time.sleep(1.0)

    def stop(self, job: str) -> str:
        """Stop a job as Ctrl-C would; what became of it: "STOPPED", or what it had ended as before."""
        self.info(job)
        with self._as_refusals():
            self.client.stop_job(job)
        while (status := self.info(job)["status"]) in ("PENDING", "RUNNING"):
            time.sleep(0.2)
        return str(status)

    def info(self, job: str) -> dict[str, Any]:
        """What Ray knows of a job: `status`, `message`, `driver_exit_code`, ... Raises RunError for one not there."""
        answer = self._get(f"/api/jobs/{job}")
        if answer.status_code == 404:
            raise self._refusal(f"no job {job!r}", "`ray job list` names those that there are")
        if answer.status_code != 200:
            raise _Gone(f"HTTP {answer.status_code} for job {job!r}", where=self.address, remedy="try again")
        known: dict[str, Any] = answer.json()
        return known

    async def _tail(self, job: str, said: int, say: Callable[[str], None]) -> int:
        """Say the log after its first `said` characters, until the job ends, the connection does, or SILENCE; the
        number of characters said by then."""
        import aiohttp

        passed = 0
        lines = aiter(self.client.tail_job_logs(job))
        try:
            while True:
                text = await asyncio.wait_for(anext(lines), SILENCE)
                new = text[max(0, said - passed) :]
                passed += len(text)
                if new:
                    say(new)
                    said += len(new)
        except (StopAsyncIteration, TimeoutError, RuntimeError, aiohttp.ClientError, OSError):
            return said

    def _status(self, job: str, info: dict[str, Any]) -> int:
        status = info["driver_exit_code"]
        if status is not None:
            return int(status)
        if info["status"] == "STOPPED":
            return INTERRUPTED
        lines = [line.strip() for line in str(info["message"]).splitlines() if line.strip()] or ["no reason given"]
        raise self._refusal(f"job {job} failed in Ray's hands: {lines[-1]}", "see the cluster's own log")

    # --- who answers ------------------------------------------------------------------------------------------------

    def _probe(self, token: str | None) -> bool:
        """Whether it is open."""
        answer = self._get("/api/version")
        guarded = answer.status_code in (401, 403)
        if guarded:
            if token is None:
                raise self._refusal("the cluster there asks for a token, and there is none here", TOKEN)
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
        """What it answers. Raises _Gone where it does not."""
        import requests

        timeout = (CONNECT, ANSWER)
        try:
            return requests.get(self.address + path, headers=self.headers, timeout=timeout, allow_redirects=False)
        except requests.exceptions.ConnectTimeout:
            what = f"nothing answers within {CONNECT:g} s"
        except requests.exceptions.Timeout:
            what = f"what listens there says nothing within {ANSWER:g} s"
        except requests.exceptions.SSLError:
            what = "no secure connection: http:// and https:// mixed up, or a certificate not known here"
        except (requests.exceptions.RequestException, OSError) as error:
            what = _reason(error)
        raise _Gone(what, where=self.address, remedy=START) from None

    def _refusal(self, what: str, remedy: str) -> RunError:
        return RunError(what, where=self.address, remedy=remedy)

    @contextmanager
    def _as_refusals(self) -> Iterator[None]:
        """What Ray's client raises, in one line."""
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:  # requests' are OSErrors
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise self._refusal(f"Ray refused: {lines[-1]}", "see the cluster's own log") from error


class _Gone(RunError):
    """Nothing answers, or not for now."""


def _base(address: str) -> str:
    """The address without a slash at its end. Raises ArgumentError for one that is none of a dashboard."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() for letter in address):
        raise ArgumentError(f"{address!r} is no address of a Ray dashboard", where="address", remedy=START)
    return address.rstrip("/")


def _token() -> str | None:
    """The token of this user, where Ray looks for it."""
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
            raise RunError(what, where=path, remedy="mend RAY_AUTH_TOKEN_PATH") from None
        return None


def _reason(error: BaseException) -> str:
    """Why there was no answer: the system's own words, innermost of what requests wraps."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror and not isinstance(inner, ConnectionResetError):
            return f"no dashboard answers ({inner.strerror})"
        inner = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
    return "what listens there does not speak HTTP"


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """With these environment variables out of the way."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
