"""Build what a release is made of, and try it: wheel and sdist, their metadata, an installation on each Python here.

python .ci/release.py OUT [PYTHON ...]      (what `make release` runs; needs `build` and `packaging`)

The wheel is installed into a fresh environment of each PYTHON with what it asks for, from a folder outside this tree,
and must say its version and describe examples/iris.toml. A PYTHON that cannot be run here is left out, and named.
"""

from __future__ import annotations

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
EXAMPLE = ROOT / "examples" / "iris.toml"
IN_WHEEL = (
    "basins/py.typed",
    "basins/__init__.py",
    "basins/output/report/report.html.jinja",
    "basins/output/report/style.css",
)
IN_SDIST = ("pyproject.toml", "LICENSE", "Makefile", "CHANGELOG.md", "requirements.txt", "tests/conftest.py")


def main() -> None:
    out, pythons = Path(sys.argv[1]), sys.argv[2:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with tempfile.TemporaryDirectory(prefix="basins-release-") as folder:
        wheel, sdist = built(Path(folder) / "dist")
        check(project, wheel, sdist)
        tried = [version for python in pythons if (version := try_on(python, wheel, project, Path(folder)))]
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


def try_on(python: str, wheel: Path, project: dict[str, object], folder: Path) -> str | None:
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
    bin = place / "bin"
    run([str(bin / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(wheel)])
    said = run([str(bin / "basins"), "--version"], cwd=place)
    if str(project["version"]) not in said.split():
        sys.exit(f"error: on Python {version} `basins --version` says {said!r}")
    described = run([str(bin / "basins"), "describe", str(EXAMPLE)], cwd=place)
    if "4-4-4-3" not in described:
        sys.exit(f"error: on Python {version} `basins describe` says {described!r}")
    print(f"{python}: Python {version}: installed, {said.strip()}, examples/iris.toml described", flush=True)
    return version


def run(command: list[str], cwd: Path | None = None) -> str:
    """Its output. Ends here, with what it said, where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
