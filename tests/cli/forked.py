"""Commands in processes of their own, forked from one that has all imported: `python forked.py FOLDER < table`.

The table is JSON, a list of [place, arguments]; what is printed is JSON, a list of [status, standard output, standard
error], in the table's order. A place is how a process finds its streams, its locale, its terminal and its home.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pwd
import runpy
import struct
import sys
import tempfile
import termios
import traceback
from collections.abc import Callable
from pathlib import Path

READERS: list[int] = []
"""Processes that read a pseudo-terminal until it closes."""

Streams = tuple[int | None, int | None]
"""The kinds of standard output and error, by descriptor; None: closed."""


def into_files(out: int, err: int) -> Streams:
    return out, err


def stdout_closed(out: int, err: int) -> Streams:
    return None, err


def stderr_closed(out: int, err: int) -> Streams:
    return out, None


def broken_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def pipe_closed(out: int, err: int) -> Streams:
    return broken_pipe(), err


def both_pipes_closed(out: int, err: int) -> Streams:
    pipe = broken_pipe()
    return pipe, pipe


def stderr_pipe_closed(out: int, err: int) -> Streams:
    return out, broken_pipe()


def disk_full(out: int, err: int) -> Streams:
    return os.open("/dev/full", os.O_WRONLY), err


def ascii_locale(out: int, err: int) -> Streams:
    os.environ.update(LC_ALL="C", PYTHONIOENCODING="ascii")
    return out, err


def narrow(out: int, err: int) -> Streams:
    """A terminal of 20 columns, read by a child until it closes."""
    os.environ.update(COLUMNS="20", TERM="xterm")
    return terminal(out, err)


def dumb(out: int, err: int) -> Streams:
    os.environ.update(TERM="dumb", NO_COLOR="1")
    return terminal(out, err)


def terminal(out: int, err: int) -> Streams:
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    reader = os.fork()
    if reader == 0:
        os.close(side)
        with contextlib.suppress(OSError):
            while data := os.read(main, 4096):
                os.write(out, data)
        os._exit(0)
    os.close(main)
    READERS.append(reader)
    return side, side


def homeless(out: int, err: int) -> Streams:
    def nobody(*_: object) -> None:
        raise KeyError("uid not found")

    pwd.getpwuid = nobody  # type: ignore[assignment]
    for name in [name for name in os.environ if name in ("HOME", "USER", "LOGNAME") or name.startswith("XDG_")]:
        del os.environ[name]
    return out, err


PLACES: dict[str, Callable[[int, int], Streams]] = {
    place.__name__: place
    for place in (
        into_files, stdout_closed, stderr_closed, pipe_closed, both_pipes_closed, stderr_pipe_closed, disk_full,
        ascii_locale, narrow, dumb, homeless,
    )
}  # fmt: skip


def run(arguments: list[str]) -> None:
    """A command, an analysis script (its path first), or a job (`python -m basins.job`)."""
    if arguments[0].endswith(".py"):
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
    elif arguments[0] == "job":
        from basins.job.entry import main as job

        job(arguments[1:])
    else:
        from basins.cli import main

        main(arguments)


def stream(descriptor: int, encoding: str) -> io.TextIOWrapper | None:
    """A text stream on a descriptor, as Python opens it."""
    try:
        os.fstat(descriptor)
    except OSError:
        return None
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)), encoding, errors="strict")


def child(place: str, arguments: list[str], out: int, err: int) -> int:
    """The exit status that the process would have."""
    found = PLACES[place](out, err)
    to = [os.dup(one) if one is not None else None for one in found]
    for descriptor, target in zip((1, 2), to, strict=True):
        if target is None:
            os.close(descriptor)
        else:
            os.dup2(target, descriptor)
            os.close(target)
    for one in {out, err, *(one for one in found if one is not None)}:
        os.close(one)
    encoding = "ascii" if place == "ascii_locale" else "utf-8"
    sys.stdout, sys.stderr = stream(1, encoding), stream(2, encoding)  # type: ignore[assignment]
    status = 0
    try:
        run(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        status = 1
        text = traceback.format_exc()
        with contextlib.suppress(OSError):
            os.write(2, text.encode())
    for said in (sys.stdout, sys.stderr):
        try:
            if said is not None:
                said.flush()
        except OSError:
            status = 120  # as Python itself does
    for reader in READERS:
        os.close(1)
        os.close(2)
        os.waitpid(reader, 0)
    return status


def forked(place: str, arguments: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            status = 1
            try:
                status = child(place, arguments, out.fileno(), err.fileno())
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    return status, said[0], said[1]


def main() -> None:
    table = json.loads(sys.stdin.read())
    os.chdir(sys.argv[1])
    # Modules that are slow to import.
    import basins.classification.classify_batch
    import basins.cli
    import basins.estimate
    import basins.execution.run
    import basins.output.figures.of_run
    import basins.output.report
    import basins.rare.tail
    import basins.summary
    import basins.verify  # noqa: F401

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            run(["run", "tiny.toml", "--on", "inline", "--out", "warm"])  # compile or load the code before forking
        with contextlib.suppress(SystemExit):
            run(["describe", "fast.toml"])
    answers = [forked(place, arguments) for place, arguments in table]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
