"""A run of schema 1 is read-only, and `basins migrate` rewrites it in the current schema."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from forms import DEEP_LINEAR

from basins.cli import main
from basins.errors import RunError
from basins.execution.run import extend, run
from basins.experiment.packed import unpack
from basins.run_tables import open_run
from basins.store import files_at, layout, parquet, schemas
from basins.store.layout import COMMIT_ORDER
from basins.store.migration import migrate
from basins.verify import verify

KEPT = Path(__file__).parents[1] / "runs" / "schema-1"


@pytest.fixture(params=["all", "exceptions"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(KEPT / request.param, tmp_path / "old")
    return tmp_path / "old"


def shard_files(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for kind in (*COMMIT_ORDER, "digests")
        for file in (path / kind).rglob("*.*")
    }


def test_migrated_run_is_the_run_that_the_experiment_gives_now(old: Path, tmp_path: Path) -> None:
    """Every file of every shard, and the digests, byte for byte."""
    migrate(files_at(old), files_at(tmp_path / "new"))
    run(unpack(old), out=tmp_path / "again", on="inline")
    assert shard_files(tmp_path / "new") == shard_files(tmp_path / "again")
    for name in layout.CREATION_FILES:
        assert (tmp_path / "new" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_migrated_run_verifies_and_has_the_same_rows(old: Path, tmp_path: Path) -> None:
    verify(old, sample=12, blocks=0)
    before = open_run(old)
    migrate(files_at(old), files_at(tmp_path / "new"))
    after = open_run(tmp_path / "new")
    assert after.manifest.schema == schemas.VERSION
    assert [case.key for case in after.manifest.cases] == [case.key for case in before.manifest.cases]
    for kind in ("trajectories", "visits", "blocks"):
        assert getattr(after, kind)().equals(getattr(before, kind)())
    assert after.estimate().to_dict() == before.estimate().to_dict()  # checked labels come along
    assert verify(tmp_path / "new", sample=0, blocks=1).findings == ()


def test_layers_are_migrated(tmp_path: Path) -> None:
    """A run of schema 2 with a layer, put back into schema 1, is the same run once it is migrated."""
    made = tmp_path / "made"
    run(unpack(KEPT / "all"), out=made, on="inline")
    extend(made, 800, on="inline")
    back_to_schema_1(made, tmp_path / "old")
    assert open_run(tmp_path / "old").manifest.schema == 1
    assert verify(tmp_path / "old", sample=0, blocks=1).findings == ()
    migrate(files_at(tmp_path / "old"), files_at(tmp_path / "new"))
    files = {path.relative_to(made) for path in made.rglob("*.*") if "telemetry" not in path.parts}
    assert files == {path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*.*")}
    assert all((made / path).read_bytes() == (tmp_path / "new" / path).read_bytes() for path in files)


def back_to_schema_1(run: Path, old: Path) -> None:
    """The inverse of `migrate`, without telemetry."""
    from dataclasses import replace

    from basins.store.commit import cases_table, commit_shard, read_manifest
    from basins.store.digests import DigestBook
    from basins.store.layers import read_layers
    from basins.store.rows import ShardTables

    source, target = files_at(run), files_at(old)
    manifest = replace(read_manifest(source), schema=1)
    target.put(layout.EXPERIMENT, source.get(layout.EXPERIMENT))
    keys = {"schema": "1", "experiment": manifest.digest}
    target.put(layout.CASES, parquet.encode(cases_table(manifest), keys))
    target.put(layout.MANIFEST, manifest.to_json())
    places = [(source, target, manifest)]
    for layer in read_layers(source, read_manifest(source)):
        was = replace(layer, manifest=manifest)
        target.put(layout.layer(layer.number) + layout.LAYER, was.to_json())
        places.append((layer.files(source), was.files(target), was))  # type: ignore[arg-type]
    for here, there, contents in places:
        for case in contents.cases:
            for shard in contents.shards(case):
                tables = {
                    kind: parquet.with_whole_vocabulary(
                        parquet.read(here, layout.part(kind, case.key, shard)).cast(DEEP_LINEAR.schema(kind)),
                        DEEP_LINEAR.words,
                    )
                    for kind in COMMIT_ORDER
                }
                commit_shard(there, contents, case, shard, ShardTables(**tables))
        DigestBook(there, contents).close()


def test_an_interrupted_migration_is_resumed(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"

    def stop(what: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(files_at(old), files_at(new), stop)
    with pytest.raises(RunError, match="not a run"):
        open_run(new)
    migrate(files_at(old), files_at(new))
    assert verify(new, sample=0, blocks=0).findings == ()


@pytest.mark.parametrize("command", ["run", "extend", "repair"])
def test_run_of_schema_1_is_read_only(tmp_path: Path, command: str) -> None:
    """The refusal gives the command that migrates; no file of the run changes."""
    old = tmp_path / "old"
    shutil.copytree(KEPT / "all", old)
    if command == "repair":  # something to repair
        next(old.glob("trajectories/*/*.parquet")).unlink()
    before = {path: path.read_bytes() for path in old.rglob("*.*")}
    calls = {
        "run": lambda: run(unpack(old), out=old, on="inline"),
        "extend": lambda: extend(old, 800, on="inline"),
        "repair": lambda: verify(old, sample=0, blocks=0, repair_damage=True),
    }
    with pytest.raises(RunError, match=rf"schema version 1, which is read-only.*basins migrate {old} --out NEW"):
        calls[command]()
    assert {path: path.read_bytes() for path in old.rglob("*.*")} == before


def test_refusals_of_migrate(old: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert status("migrate", old, "--out", tmp_path / "other") == 2
    assert "not empty (notes.txt is there)" in capfd.readouterr().err
    assert status("migrate", old, "--out", new) == 0
    assert f"{new} is a run of schema version 2" in capfd.readouterr().out
    assert status("migrate", old, "--out", new) == 2
    assert "a run exists there already" in capfd.readouterr().err
    assert status("migrate", new, "--out", tmp_path / "third") == 2
    assert "which is the current one" in capfd.readouterr().err
    assert not (tmp_path / "third").exists()


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    return int(str(stopped.value.code))
