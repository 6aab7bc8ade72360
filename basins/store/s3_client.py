"""Access to an object store: its address, pyarrow's client for it, and the meaning of its errors.

The endpoint and the credentials are never in a run or in a URI. They come from each process's own environment, as for
other programs: AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3; neither: Amazon S3), AWS_REGION, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE with ~/.aws, or the role of the machine.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyarrow import fs

from basins.errors import RunError
from basins.home import in_home, is_there

Environment = tuple[tuple[str, str], ...]

CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Client:
    """Two of pyarrow's S3 clients: `single` sends an object in one PUT, `parts` begins an upload in parts at once."""

    single: Any
    parts: Any


def parse(uri: str) -> tuple[str, str]:
    """Bucket and prefix of s3://BUCKET/PREFIX. Raises RunError for an invalid address."""
    rest = uri.removeprefix("s3://")
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise RunError(
            "credentials in the address",
            where=f"s3://...@{rest.rpartition('@')[2]}",
            remedy=f"leave them out, and set {CREDENTIALS} in the environment of every worker",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", bucket):
        raise RunError(f"{bucket!r} is not a bucket name", where=uri, remedy="give s3://BUCKET/PREFIX")
    prefix = prefix.rstrip("/")
    if prefix and not re.fullmatch(r"(?!.*(^|/)\.{0,2}(/|$))[A-Za-z0-9/!_.*'()=-]+", prefix):
        raise RunError(
            f"{prefix!r} is not a prefix that every reader accepts",
            where=uri,
            remedy="use letters, digits and -_.= between single slashes",
        )
    return bucket, prefix


def environment() -> Environment:
    """The environment variables that give the store's address and the credentials."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def endpoint() -> str:
    """The store's address; empty for Amazon S3."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


@lru_cache(maxsize=8)
def connected(bucket: str, patient: bool, environment: Environment) -> Client:
    """A client whose access to the bucket has been checked. It is cached, so that connections are reused. Raises
    OSError, and NoBucket if there is no such bucket.
    """
    client = Client(_filesystem(bucket, patient, delayed=True), _filesystem(bucket, patient, delayed=False))
    if client.single.get_file_info(bucket).type == fs.FileType.NotFound:
        raise NoBucket(bucket)
    return client


class NoBucket(OSError):
    """There is no such bucket."""


def _filesystem(bucket: str, patient: bool, *, delayed: bool) -> Any:
    scheme, _, host = (endpoint() or "https://").rpartition("://")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if host else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        endpoint_override=host.rstrip("/") or None,
        scheme=scheme or "https",
        region=region,
        connect_timeout=5 if patient else 2,
        request_timeout=15 if patient else 2,  # seconds without a byte; after an upload curl allows about 6 s more
        # The parts of a large object are retried here; everything else is retried in s3.py.
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1 if delayed else 3),
        allow_delayed_open=delayed,
        background_writes=not delayed,
    )


# --- what its errors mean --------------------------------------------------------------------------------------------

_DENIED = re.compile(
    "ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE|INVALID_CLIENT_TOKEN|EXPIRED_TOKEN|HTTP status 40[13]"
)
_NO_BUCKET = re.compile("NO_SUCH_BUCKET|NoSuchBucket")
_NO_CONNECTION = re.compile("NETWORK_CONNECTION|curlCode")
_TOO_SLOW = re.compile("REQUEST_TIMEOUT|curlCode: 28")
_REDIRECT = re.compile("HTTP status 301|PermanentRedirect")


def is_permanent(error: Exception) -> bool:
    """Whether a retry is useless."""
    text = str(error)
    return isinstance(error, NoBucket) or any(kind.search(text) for kind in (_DENIED, _NO_BUCKET, _REDIRECT))


def refusal(what: str, error: Exception, uri: str, bucket: str) -> RunError:
    """The RunError for an exception of pyarrow's, in one line."""
    text, at = " ".join(str(error).split()), endpoint() or "Amazon S3"
    if isinstance(error, NoBucket) or _NO_BUCKET.search(text):
        return RunError(f"no bucket {bucket!r} at {at}", where=uri, remedy="create it, or correct the address")
    if _DENIED.search(text) or ("HTTP status 4" in text and not _any_credentials()):
        if not _any_credentials():
            return RunError(f"no credentials for {at}", where=uri, remedy=f"set {CREDENTIALS}, or AWS_PROFILE")
        return RunError(
            f"{at} refuses these credentials",
            where=uri,
            remedy=f"correct {CREDENTIALS}; they must allow listing the bucket, get and put",
        )
    if _TOO_SLOW.search(text):
        return RunError(
            f"{what}: {at} does not answer",
            where=uri,
            remedy="check that it is running and has space, or correct AWS_ENDPOINT_URL",
        )
    if _NO_CONNECTION.search(text):
        remedy = (
            "start it, or correct AWS_ENDPOINT_URL" if endpoint() else "set AWS_ENDPOINT_URL to your store's address"
        )
        return RunError(f"{what}: {at} cannot be reached", where=uri, remedy=remedy)
    return RunError(
        f"{what}: {_store_message(text)}",
        where=uri,
        remedy="check that the store is running and has space, then repeat the command",
    )


def _store_message(text: str) -> str:
    """The part of pyarrow's message that comes from the store."""
    error = re.search(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during \w+ operation: (.*)", text)
    if error is None:
        return text
    code, status, message = error.groups()
    if named := re.match(r"Unable to parse ExceptionName: (\w+) Message: (.*)", message):
        code, message = named.groups()
    elif code == "UNKNOWN" and status:
        code = f"HTTP status {status}"
    return (
        f"the store says {code}, {message}" if message and message != "No response body." else f"the store says {code}"
    )


def _any_credentials() -> bool:
    """Whether there are credentials in the environment or in ~/.aws. A machine's role cannot be detected here."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    return any(os.environ.get(name) for name in names) or is_there(in_home(".aws", "credentials"))
