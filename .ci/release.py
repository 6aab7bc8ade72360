"""Build what a release is made of, and try it: wheel and sdist, their metadata, an installation on each Python here.

python .ci/release.py OUT [PYTHON ...]      (what `make release` runs; needs `build` and `packaging`)

The wheel is installed into a fresh environment of each PYTHON with what it asks for, from a folder outside this tree.
There it must say its version, copy an example, describe it and run it; say what is missing where an extra is; and take
at most MOST on disk as installed, before Python compiles it. With the first PYTHON the extras are installed too, and
draw a figure. A PYTHON that cannot be run here is left out, and named.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
MOST = 620 * 1024**2
"""Bytes on disk of an environment with a plain installation, without bytecode, which depends on what is imported."""

IN_WHEEL = (
    "basins/py.typed",
    "basins/__init__.py",
    "basins/output/report/report.html.jinja",
    "basins/output/report/style.css",
    "basins/examples/iris.toml",
    "basins/examples/iris.csv",
    "basins/examples/DATA.md",
)
IN_SDIST = ("pyproject.toml", "LICENSE", "Makefile", "CHANGELOG.md", "requirements.txt", "tests/conftest.py")


def main() -> None:
    out, pythons = Path(sys.argv[1]), sys.argv[2:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with tempfile.TemporaryDirectory(prefix="basins-release-") as folder:
        wheel, sdist = built(Path(folder) / "dist")
        check(project, wheel, sdist)
        tried: list[str] = []
        for python in pythons:
            version = try_on(python, wheel, project, Path(folder), extras=not tried)
            tried += [version] if version else []
        if not tried:
            sys.exit(f"error: none of {', '.join(pythons)} can be run here; name one in PYTHONS")
        out.mkdir(parents=True, exist_ok=True)
        for made in (wheel, sdist):
            (out / made.name).write_bytes(made.read_bytes())
    print(f"{wheel.name} and {sdist.name} in {out}, installed and run on Python {', '.join(tried)}")


def built(folder: Path) -> tuple[Path, Path]:
    """The wheel, built from the sdist, as an index would have both."""
    run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def check(project: dict[str, object], wheel: Path, sdist: Path) -> None:
    """Metadata by the standards that an index holds them to, the same in both; and that nothing is lacking."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        (name,) = (name for name in inside if name.endswith(".dist-info/METADATA"))
        in_wheel = Metadata.from_email(archive.read(name), validate=True)
    lacking = [name for name in IN_WHEEL if name not in inside]
    foreign = [name for name in inside if not name.startswith(("basins/", "ovf_basins-"))]
    with tarfile.open(sdist) as archive:
        top = sdist.name.removesuffix(".tar.gz")
        lacking += [name for name in IN_SDIST if f"{top}/{name}" not in archive.getnames()]
        content = archive.extractfile(f"{top}/PKG-INFO")
        assert content is not None
        in_sdist = Metadata.from_email(content.read(), validate=True)
    if lacking or foreign:
        sys.exit(f"error: lacking: {', '.join(lacking) or 'nothing'}; foreign in the wheel: {', '.join(foreign)}")
    for field in ("name", "version", "requires_python", "requires_dist", "license_expression", "license_files"):
        if getattr(in_wheel, field) != getattr(in_sdist, field):
            sys.exit(f"error: {field} of the wheel and of the sdist differ")
    if (in_wheel.name, str(in_wheel.version)) != (project["name"], project["version"]):
        sys.exit(f"error: the metadata say {in_wheel.name} {in_wheel.version}")
    dead = re.findall(r"\]\((?!https?:)[^)]*\)", in_wheel.description or "")
    if dead:
        sys.exit(f"error: the long description links to files: {', '.join(dead[:4])}")


def try_on(python: str, wheel: Path, project: dict[str, object], folder: Path, extras: bool) -> str | None:
    """Its version, once the wheel works there; None where there is no such Python."""
    asked = [python, "-c", "import platform; print(platform.python_version())"]
    try:
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        print(f"{python}: not here, left out", flush=True)
        return None
    if version not in SpecifierSet(str(project["requires-python"])):
        sys.exit(f"error: {python} is Python {version}, and basins asks for {project['requires-python']}")
    place = folder / f"python-{version}"
    run([python, "-m", "venv", str(place)])
    bin, pip = place / "bin", ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    run([str(bin / "python"), *pip, str(wheel)])
    size = on_disk(place)
    if size > MOST:
        sys.exit(f"error: on Python {version} a plain installation takes {size >> 20} MiB, more than {MOST >> 20}")
    work = place / "work"
    work.mkdir()

    def basins(*arguments: str, status: int = 0) -> str:
        return run([str(bin / "basins"), *arguments], cwd=work, status=status)

    said = basins("--version")
    if str(project["version"]) not in said.split():
        sys.exit(f"error: on Python {version} `basins --version` says {said!r}")
    basins("examples", "iris", "--to", ".")
    if "4-4-4-3" not in basins("describe", "iris.toml"):
        sys.exit(f"error: on Python {version} `basins describe iris.toml` does not say its widths")
    short = (work / "iris.toml").read_text().replace("400_000", "2_048").replace("blocks_per_shard = 32", "")
    (work / "short.toml").write_text(short)
    if "1,024 of 1,024" not in basins("run", "short.toml", "--out", "run", "--on", "processes", "--workers", "2"):
        sys.exit(f"error: on Python {version} the control of `basins run` does not read 100 % saddle")
    for extra, *arguments in (
        ("ray", "run", "short.toml", "--out", "other", "--on", "ray"),
        ("report", "plot", "cost", "run"),
        ("report", "report", "run"),
    ):
        refused = basins(*arguments, status=2)
        if f'pip install "ovf-basins[{extra}]"' not in refused or refused.count("\n") != 1:
            sys.exit(f"error: on Python {version} `basins {' '.join(arguments)}` says {refused!r}")
    if extras:
        run([str(bin / "python"), *pip, f"{wheel}[all]"])
        basins("plot", "occupancy", "run", "--case", "control", "-o", "figure.png")
        basins("report", "run")
        basins("examples", "digits", "--to", ".")
        basins("describe", "digits.toml")
    with_extras = ", then with all extras" if extras else ""
    print(f"{python}: Python {version}: {said.strip()} installed, {size >> 20} MiB, iris run{with_extras}", flush=True)
    return version


def on_disk(folder: Path) -> int:
    """Bytes as `du` counts them, without bytecode; a file with several names once."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        if "__pycache__" not in path.parts:
            stat = path.lstat()
            found[stat.st_ino] = stat.st_blocks * 512
    return sum(found.values())


def run(command: list[str], cwd: Path | None = None, status: int = 0) -> str:
    """Its output, of a refusal its standard error. Ends here, with what it said, where its status is another one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != status:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stderr if status else done.stdout


if __name__ == "__main__":
    main()
