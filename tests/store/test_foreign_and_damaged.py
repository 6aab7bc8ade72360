"""Foreign files in a run are left alone; every reader reports a damaged file; a run that differs is always reported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from basins import open_run
from basins.cli import main
from basins.errors import RunError
from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.store import create_or_resume, files_at, layout, read_manifest
from basins.verify import verify

TINY = """
name = "tiny"
seed = 3
visits_every = 10
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2]
[engine]
name = "reference"
[[case]]
name = "gaussian"
trajectories = 12
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "starved"
trajectories = 5
law = { name = "gaussian", scale = 0.5 }
engine = { budget = 40 }
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a layer and a record of checked labels."""
    run = tmp_path_factory.mktemp("damaged") / "run"
    run_module.run(Experiment.from_toml(TINY, Path()), run, on="inline")
    run_module.extend(run, 1000, on="inline")
    verify(run, sample=4, blocks=0)
    return run


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "run")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


# --- foreign ---------------------------------------------------------------------------------------------------------

FOREIGN = (
    "._part-00000000.parquet", ".nfs0000000000a1b2c300000001", ".DS_Store", "Thumbs.db", "desktop.ini", "_SUCCESS",
    "part-00000000.parquet~", ".part-00000000.parquet.crc", ".part-00000000.parquet.swp", "part-00000000.parquet.bak",
    ".part-00000000.parquet.Xy12Zq", "notes.txt", "._part-00000001.parquet.tmp",
)  # fmt: skip


def folders(run: Path) -> Iterator[Path]:
    for folder in [run, *sorted(run.rglob("*"))]:
        if folder.is_dir():
            yield folder


@pytest.fixture
def littered(run: Path) -> Path:
    for folder in list(folders(run)):
        for name in FOREIGN:
            (folder / name).write_bytes(b"\x00\x05\x16\x07 none of the run's")
    return run


def test_foreign_files_are_reported_and_are_not_damage(littered: Path) -> None:
    """In every place: beside shards, digests, telemetry, records of checks, and in the layer."""
    found = verify(littered, sample=2, blocks=1, seed=1, repair_damage=True)
    assert found.findings == ()
    assert found.set_aside is None
    case = open_run(littered).case("gaussian").key
    for folder in ("trajectories/case=" + case, "blocks/case=" + case, "visits/case=" + case):
        for name in FOREIGN:
            assert f"{folder}/{name}" in found.foreign
    starved = open_run(littered).case("starved").key
    assert f"layer-0001/trajectories/case={starved}/._part-00000000.parquet" in found.foreign
    assert not any(path.endswith(".parquet") and "._" not in path for path in found.foreign), "no file of the run"
    shown = call("verify", str(littered), "--sample", "0", "--blocks", "0")
    assert shown.exit_code == 0
    assert "foreign, and left alone" in shown.stdout
    assert "DAMAGED" not in shown.stdout
    assert json.loads(call("verify", str(littered), "--sample", "0", "--json").stdout)["foreign"] == list(found.foreign)


def test_foreign_files_are_ignored(littered: Path, original: Path) -> None:
    assert call("estimate", str(littered), "--json").stdout == call("estimate", str(original), "--json").stdout
    assert call("status", str(littered)).stdout == call("status", str(original)).stdout.replace(
        str(original), str(littered)
    )
    assert call("show", str(littered), "--case", "gaussian", "--id", "3").exit_code == 0
    before = {path: path.read_bytes() for path in littered.rglob("*") if path.name in FOREIGN}
    again = call("run", str(littered), "--on", "inline", "--out", str(littered))
    assert again.exit_code == 0, again.output
    assert call("extend", str(littered), "--budget", "1000", "--on", "inline").exit_code in (0, 2)
    assert {path: path.read_bytes() for path in before} == before, "none was deleted"


def test_a_folder_with_only_system_files_counts_as_empty(tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "._x", ".nfs01"):
        (tmp_path / name).write_bytes(b"")
    create_or_resume(files_at(tmp_path), Experiment.from_toml(TINY, Path()))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"not empty and not a run \(thesis.tex is there"):
        create_or_resume(files_at(other), Experiment.from_toml(TINY, Path()))


def test_an_extra_table_in_a_shard_folder_is_damage(run: Path) -> None:
    case = open_run(run).case("gaussian").key
    folder = run / "trajectories" / f"case={case}"
    shutil.copy(folder / "part-00000000.parquet", folder / "part-00000000 (copy).parquet")
    found = verify(run, sample=0, blocks=0)
    assert [one.path for one in found.findings] == [f"trajectories/case={case}/part-00000000 (copy).parquet"]
    assert found.foreign == ()


# --- damaged ---------------------------------------------------------------------------------------------------------


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_utf8(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + path.read_bytes())


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def a_list(path: Path) -> None:
    path.write_text("[1, 2, 3]\n")


def a_null(path: Path) -> None:
    path.write_text("null\n")


def an_empty_object(path: Path) -> None:
    path.write_text("{}\n")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (emptied, truncated, not_utf8, zeros, a_list, a_null, an_empty_object, a_folder)
FILES = (
    "experiment.toml", "manifest.json", "cases.parquet", "layer-0001/layer.json", "verified/", "telemetry/",
    "digests/", "trajectories/", "blocks/", "visits/", "layer-0001/blocks/", "layer-0001/trajectories/",
)  # fmt: skip
TEXTS = ("experiment.toml", "manifest.json", "layer-0001/layer.json", "verified/", "telemetry/", "digests/")
OF_TABLES = (emptied, truncated, a_folder)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("estimate", "RUN"),
    ("status", "RUN"),
    ("show", "RUN", "--case", "gaussian", "--id", "0"),
    ("verify", "RUN", "--sample", "2", "--blocks", "1"),
    ("run", "RUN", "--on", "inline", "--out", "RUN"),
    ("run", "RUN", "--on", "inline", "--dry-run"),
    ("extend", "RUN", "--budget", "2000", "--on", "inline"),
)


def first_of(run: Path, name: str) -> Path:
    return run / name if not name.endswith("/") else next(p for p in sorted((run / name).rglob("*")) if p.is_file())


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in FILES for damage in DAMAGES if name in TEXTS or damage in OF_TABLES],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_damage_is_reported_in_one_line_that_names_the_file(
    original: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    """Every command that reads the file reports it; the others work."""
    refused = 0
    for number, command in enumerate(COMMANDS):
        run = shutil.copytree(original, tmp_path / f"run{number}")
        file = first_of(run, name)
        damage(file)
        found = call(*(str(run) if one == "RUN" else one for one in command))
        assert found.exit_code in (0, 2), (command, found.stderr)
        assert "unexpected" not in found.stderr
        if found.exit_code == 2:
            refused += 1
            (line,) = [one for one in found.stderr.splitlines() if one.startswith("error: ")]
            gone = file.is_dir() and ("not computed yet" in line or "is not finished" in line)
            assert file.name in line or gone, (command, line)
            assert "; " in line, (command, "what to do")
    assert refused > 0 or name in ("telemetry/", "cases.parquet") or (name == "verified/" and damage is a_folder)


def test_the_estimate_of_a_damaged_experiment_says_so(run: Path) -> None:
    (run / "experiment.toml").write_text('name = "tiny\n')
    found = call("estimate", str(run))
    assert found.exit_code == 2
    assert found.stderr == (
        f"error: {run}: experiment.toml is damaged (Illegal character '\\n' (at line 1, column 13)); put back a copy "
        "of it, or run the experiment into another --out\n"
    )


def test_an_unreadable_file_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "experiment.toml":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = call("estimate", str(run))
    assert found.exit_code == 2
    assert found.stderr == (
        f"error: {run}: cannot read experiment.toml: Permission denied; let this user read it, or run as the user who "
        "may\n"
    )


# --- what differs ----------------------------------------------------------------------------------------------------


def resumed(run: Path) -> str:
    with pytest.raises(RunError) as caught:
        create_or_resume(files_at(run), Experiment.from_toml(TINY, Path()))
    return str(caught.value)


def test_an_edit_that_changes_no_value_is_reported(run: Path) -> None:
    file = run / "experiment.toml"
    text = file.read_text()
    file.write_text(text + "# looked at\n")
    number = text.count("\n") + 1
    assert f"experiment.toml has been edited: line {number} is '# looked at\\n' there, '' here" in resumed(run)
    file.write_bytes(text.replace("\n", "\r\n").encode())
    assert "experiment.toml has been edited: line 1 is 'name = \"tiny\"\\r\\n' there" in resumed(run)
    file.write_text(text + "\n[extra]\n")
    assert "extra = {} there, nothing here" in resumed(run)


def test_an_edited_digest_is_reported(run: Path) -> None:
    digest = read_manifest(files_at(run)).digest
    file = run / "manifest.json"
    file.write_text(file.read_text().replace(digest, "0" * len(digest)))
    line = resumed(run)
    assert f"manifest.json has been edited: its digest is {'0' * len(digest)} there, {digest} here" in line


def test_cases_in_another_order_are_reported(run: Path) -> None:
    file = run / "manifest.json"
    content = json.loads(file.read_text())
    content["cases"].reverse()
    file.write_text(json.dumps(content))
    keys = [one["key"] for one in content["cases"]]
    assert f"cases = {keys[0]}, {keys[1]} there, {keys[1]}, {keys[0]} here" in resumed(run)


def test_names_of_the_layout() -> None:
    assert layout.is_record(layout.verified(3, "abc"))
    assert layout.is_telemetry(layout.telemetry("20260101T000000Z-host-7", 0))
    assert layout.is_telemetry(layout.layer(2) + layout.telemetry("x", 12))
    assert not layout.foreign(layout.part("blocks", "c", 0))
