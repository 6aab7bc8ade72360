"""What lies in RUN/proved is looked at like the shards; a label that a proof contradicts is an error."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from damage import flip, paths, rewritten, row
from proving import changed, everything, made, not_proved, path_of, proofs

from basins.cli import main
from basins.execution.run import extend, prove_run
from basins.run_tables import open_run
from basins.store import files_at, layout, proved
from basins.verify import Contradiction, Trouble, Verification, verify


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with all its starts tried, and a sample of 50."""
    path = made(tmp_path_factory.mktemp("original") / "run")
    prove_run(path, on="inline")
    prove_run(path, 50, on="inline")
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def look(run: Path, blocks: int = 0, **options: bool) -> Verification:
    return verify(run, sample=0, blocks=blocks, **options)  # type: ignore[arg-type]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def flat(text: str) -> str:
    return " ".join(text.split())


def digest_path(run: Path, name: str = "wide") -> str:
    return everything(run).files(files_at(run)).prefix + layout.digests(open_run(run).case(name).key, 0)


def test_proofs_without_fault(run: Path) -> None:
    found = look(run, blocks=1)
    assert found.findings == ()
    assert found.proofs is not None
    assert (found.proofs.starts, found.proofs.proved, found.proofs.again) == (2190, 2190, 64)
    assert (found.proofs.missing, found.proofs.contradictions, found.proofs.others) == (0, (), ())
    said = call("verify", run, "--sample", 0, "--blocks", 1)
    assert said.exit_code == 0
    assert "2,190 rows of proofs without fault, 2,190 proved to flow to a global minimum" in flat(said.stdout)
    assert "64 starts proved again" in flat(said.stdout)


def test_a_run_without_proofs_says_nothing_of_them(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "proved")
    assert look(tmp_path / "run").proofs is None
    assert json.loads(call("verify", tmp_path / "run", "--sample", 0, "--blocks", 0, "--json").stdout)["proofs"] is None


# --- damage ----------------------------------------------------------------------------------------------------------


def swap(run: Path) -> None:
    shutil.copy(run / path_of(run, "wide", 1), run / path_of(run, "wide", 0))


def of_another_case(run: Path) -> None:
    shutil.copy(run / path_of(run, "narrow"), run / path_of(run))


def without_digests(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(run: Path) -> None:
        shutil.rmtree((run / digest_path(run)).parent)
        damage(run)

    return both


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda run: flip(run / path_of(run), 900, 1), "its SHA-256 is not that of the digests"),
        (without_digests(lambda run: flip(run / path_of(run), 900, 1)), "damaged ("),
        (without_digests(swap), "of other starts: its footer differs in first_id"),
        (without_digests(of_another_case), "of other starts: its footer differs in case, law, trajectories"),
        (lambda run: (run / path_of(run)).write_bytes(b""), "its SHA-256"),
        (lambda run: (run / path_of(run)).unlink(), "gone, though its digest is known"),
    ],
)
def test_damage_is_found_set_aside_and_proved_again(
    original: Path, run: Path, damage: Callable[[Path], None], what: str
) -> None:
    damage(run)
    found = look(run)
    assert paths(found) == {path_of(run)}
    assert found.findings[0].what.startswith(what)
    assert found.findings[0].trouble is Trouble.proofs
    assert found.good == found.shards == 5  # no shard of the run is any worse
    assert call("verify", run, "--sample", 0, "--blocks", 0).exit_code == 2
    repaired = look(run, repair_damage=True)
    assert repaired.set_aside == "set-aside/0001/"
    if "gone" not in what:
        assert look(run).findings == ()
        prove_run(run, on="inline")
        assert proofs(run) == proofs(original)
        assert look(run).findings == ()


def test_every_flipped_bit_is_found_with_and_without_digests(run: Path) -> None:
    path = run / path_of(run, "narrow")
    whole = path.read_bytes()
    for digests in (True, False):
        if not digests:
            shutil.rmtree((run / digest_path(run, "narrow")).parent)
        for at in range(0, len(whole), 97):
            flip(path, at, at % 8)
            assert paths(look_at_narrow(run)) == {path_of(run, "narrow")}, (digests, at)
            path.write_bytes(whole)


def look_at_narrow(run: Path) -> Verification:
    """A look at one file of proofs alone: the others are moved out of the way."""
    from dataclasses import replace

    from basins.verify.proving import check_proved

    opened = open_run(run)
    files = files_at(run)
    for other in run.glob("proved/*/seed-*"):
        shutil.rmtree(other)
    found = check_proved(files, opened.manifest, opened.view, True, False, 0, lambda what, done, of: None)
    assert found is not None
    return replace(look_of_nothing(run), findings=found.findings)


def look_of_nothing(run: Path) -> Verification:
    return Verification(str(run), 0, ())


def test_rows_that_were_written_so_but_cannot_be(run: Path, original: Path) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        rows[3] |= {"error": 2.0, "margin": 1.0}

    changed(run, "wide", 0, change)
    found = look(run)
    assert [one.what for one in found.findings] == [
        "a row is proved whose error is not below its margin",
        f"has the digest of {path_of(run).partition('all/')[2]}, which is wrong",
    ]
    look(run, repair_damage=True)
    prove_run(run, on="inline")
    assert proofs(run) == proofs(original)


def test_a_row_that_could_be_is_found_by_proving_it_again(run: Path) -> None:
    for other in run.glob("proved/*/seed-*"):
        shutil.rmtree(other)
    shutil.rmtree((run / path_of(run)).parent)
    shutil.rmtree((run / digest_path(run)).parent)
    changed(run, "narrow", 0, not_proved(7))
    assert look(run).findings == ()
    (finding,) = look(run, blocks=1).findings
    assert (finding.path, finding.what, finding.trouble) == (
        path_of(run, "narrow"),
        "id 7 proved again is another row",
        Trouble.computed,
    )


def test_a_sample_that_was_edited_is_found(run: Path) -> None:
    (path,) = run.glob("proved/*/seed-*/sample.json")
    path.write_text(path.read_text().replace('"rows": 50', '"rows": 49'))
    found = look(run)
    inside = {str(one.relative_to(run)) for one in path.parent.rglob("*") if one.is_file()}
    assert paths(found) == inside
    assert "it does not have the digest that its folder is named by" in found.findings[0].what
    assert call("estimate", run).exit_code == 2
    look(run, repair_damage=True)
    assert look(run).findings == ()
    assert call("estimate", run).exit_code == 0


def test_a_sample_of_another_run_is_found(run: Path) -> None:
    from basins.store.manifest import canonical_json

    (path,) = run.glob("proved/*/seed-*/sample.json")
    said = json.loads(path.read_text()) | {"run": 6}
    content = canonical_json(said)
    path.write_bytes(content)
    named = path.parent.with_name(layout.proved_sample(0, hashlib.sha256(content).hexdigest()[:12]))
    path.parent.rename(named)
    assert {one.what for one in look(run).findings if one.path.endswith("sample.json")} == {
        "damaged (it is of another run, or was edited)"
    }


def test_a_damaged_file_of_digests_is_found_and_written_again(run: Path, original: Path) -> None:
    path = run / digest_path(run)
    path.write_text(path.read_text().replace("part-00000001", "part-00000009"))
    assert digest_path(run) in paths(look(run))
    path.write_text("nothing\n")
    assert paths(look(run)) == {digest_path(run)}
    look(run, repair_damage=True)
    prove_run(run, on="inline")
    assert proofs(run) == proofs(original)


def test_strays_are_damage_and_foreign_files_are_left_alone(run: Path) -> None:
    folder = (run / path_of(run)).parent
    names = {"stray": folder / "part-00000077.parquet", "foreign": folder / ".DS_Store", "text": folder / "notes.txt"}
    for path in names.values():
        path.write_text("x")
    (run / "proved" / "more").mkdir()
    (run / "proved" / "more" / "file").write_text("x")
    found = look(run)
    relative = {name: str(path.relative_to(run)) for name, path in names.items()}
    assert paths(found) == {relative["stray"], "proved/more/file"}
    assert set(found.foreign) == {relative["foreign"], relative["text"]}
    look(run, repair_damage=True)
    assert look(run).findings == ()
    assert names["foreign"].exists()


def test_proofs_of_another_version_are_named_and_not_read(run: Path) -> None:
    mine = run / "proved" / str(proved.VERSION)
    mine.rename(mine.with_name(str(proved.VERSION + 1)))
    found = look(run)
    assert found.findings == ()
    assert found.proofs is not None
    assert (found.proofs.starts, found.proofs.others) == (0, (f"proved/{proved.VERSION + 1}/",))
    assert open_run(run).estimate().cases[0].proved is None
    assert (
        f"not read, from another version of the proof: proved/{proved.VERSION + 1}/"
        in call("verify", run, "--sample", 0, "--blocks", 0).stdout
    )


# --- labels ----------------------------------------------------------------------------------------------------------


def to_saddle(run: Path, id: int) -> None:
    """A row of "narrow" labelled saddle, as a worker would have written it."""

    def change(tables):  # type: ignore[no-untyped-def]
        wrong = row(id, verdict="saddle", certificate="outlasted", reason=None, modes=1, rank=1)(tables)
        blocks = tables.blocks.to_pylist()
        blocks[0] |= {"minimum": blocks[0]["minimum"] - 1, "saddle": blocks[0]["saddle"] + 1}
        for one in blocks[0]["strata"]:
            one["count"] -= one["verdict"] == "minimum"
        blocks[0]["strata"].append({"modes": 1, "verdict": "saddle", "count": 1})
        import pyarrow as pa

        return wrong._replace(blocks=pa.Table.from_pylist(blocks, schema=tables.blocks.schema).combine_chunks())

    rewritten(run, "narrow", 0, change)


def test_a_row_labelled_saddle_and_proved_a_minimum_is_exit_status_1(run: Path) -> None:
    assert (open_run(run).trajectories("narrow")["verdict"] == "minimum").all()
    to_saddle(run, 9)
    found = look(run)
    key = open_run(run).case("narrow").key
    assert found.findings == ()
    assert found.proofs is not None
    assert found.proofs.contradictions == (Contradiction(key, 9),)
    said = call("verify", run, "--sample", 0, "--blocks", 0)
    assert said.exit_code == 1
    (line,) = said.stderr.splitlines()
    assert line == (
        "error: WRONG LABEL: id 9 of case narrow is labelled saddle, and its start is proved to flow to a global "
        f"minimum (basins show RUN --case {key} --id 9 --reintegrate)"
    )
    as_json = json.loads(call("verify", run, "--sample", 0, "--blocks", 0, "--json").stdout)
    assert as_json["proofs"]["contradictions"] == [{"case": key, "id": 9}]
    case = open_run(run).estimate().cases[1]
    assert case.proved is not None
    assert (case.saddle, case.proved.saddles, case.proved.contradicted) == (1, 1, (9,))
    assert "1 of them is labelled saddle (id 9): that label is wrong." in flat(call("estimate", run).stdout)
    assert "THE LABEL IS WRONG." in flat(call("show", run, "--case", "narrow", "--id", 9).stdout)


def test_run_prove_ends_with_exit_status_1_too(run: Path) -> None:
    to_saddle(run, 9)
    said = call("run", run / "experiment.toml", "--out", run, "--on", "inline", "--prove")
    assert said.exit_code == 1
    assert said.stderr.splitlines()[-1].startswith("error: case narrow has rows labelled saddle")
    assert "id 9" in said.stderr


def test_labels_are_those_of_the_layers(original: Path, tmp_path: Path) -> None:
    """A row labelled saddle in the base whose layer says minimum is no contradiction, but for --base."""
    shutil.copytree(original, tmp_path / "run")
    run = tmp_path / "run"
    extend(run, 5000, on="inline")
    id = int(open_run(run, 0).trajectories("wide", verdict="censored")["id"].iloc[0])
    assert id < 1024

    def change(tables):  # type: ignore[no-untyped-def]
        import pyarrow as pa

        blocks = tables.blocks.to_pylist()
        blocks[0] |= {"censored": blocks[0]["censored"] - 1, "saddle": 1}
        for one in blocks[0]["strata"]:
            one["count"] -= one["verdict"] == "censored"
        blocks[0]["strata"].insert(1, {"modes": 1, "verdict": "saddle", "count": 1})
        wrong = row(id, verdict="saddle", certificate="outlasted", reason=None, modes=1, rank=1)(tables)
        return wrong._replace(blocks=pa.Table.from_pylist(blocks, schema=tables.blocks.schema).combine_chunks())

    rewritten(run, "wide", 0, change)
    base, top = (open_run(run, layers).estimate().cases[0].proved for layers in (0, None))
    assert base is not None
    assert top is not None
    assert base.contradicted == (id,)
    assert top.contradicted == ()


# --- the command -----------------------------------------------------------------------------------------------------


def test_verify_prove_proves_and_goes_on(run: Path, original: Path) -> None:
    shutil.rmtree(run / "proved")
    arguments = ("verify", run, "--sample", 0, "--blocks", 0, "--on", "inline")
    assert call(*arguments, "--prove", "all", "--case", "narrow").exit_code == 0
    assert [one for one in proofs(run) if one.endswith(".parquet")] == [path_of(run, "narrow")]
    said = call(*arguments, "--prove", "all")
    assert said.exit_code == 0
    assert "2,140 starts in 4 shards, 1 done" in said.stderr
    assert call(*arguments, "--prove", "50").exit_code == 0
    assert proofs(run) == proofs(original)


def test_run_prove_leaves_a_run_of_the_same_bytes_and_proofs(original: Path, tmp_path: Path) -> None:
    said = call("run", original / "experiment.toml", "--out", tmp_path / "run", "--on", "inline", "--prove")
    assert said.exit_code == 0, said.output
    assert "Of 2,100 starts every one is proved to flow to a global minimum" in flat(said.stdout)
    for path in original.rglob("*"):
        name = path.relative_to(original)
        if path.is_file() and "telemetry" not in name.parts and not str(name).startswith(("proved/1/seed", "verified")):
            assert (tmp_path / "run" / name).read_bytes() == path.read_bytes(), name


def test_ctrl_c_is_said_and_what_is_proved_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from basins.execution import proving

    done = proving.prove_ids

    def once(*arguments):  # type: ignore[no-untyped-def]
        monkeypatch.setattr(proving, "prove_ids", interrupted)
        return done(*arguments)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    shutil.rmtree(run / "proved")
    monkeypatch.setattr(proving, "prove_ids", once)
    said = call("verify", run, "--prove", "all", "--on", "inline")
    assert said.exit_code == 130
    assert said.stderr.splitlines()[-1] == (f"interrupted: finished proofs are kept in {run}; the same command resumes")
    assert [one for one in proofs(run) if one.endswith(".parquet")] == [path_of(run)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prove", "some"), "'some' is neither a number of rows nor 'all'"),
        (("--prove", "-3"), "'-3' is neither"),
        (("--prove", "0"), "give rows, 1 to 100,000,000, or all"),
        (("--prove", "3", "--case", "control", "--on", "inline"), "case 'control': its law, planted, is null"),
        (("--prove", "3", "--on", "inline", "--deadline", "3"), "--deadline needs --on ray or --on processes"),
        (("--case", "wide"), "--case needs --prove"),
        (("--on", "inline"), "--on needs --prove"),
        (("--workers", "2"), "--workers needs --prove"),
    ],
)
def test_refused_commands(original: Path, arguments: tuple[str, ...], said: str) -> None:
    before = proofs(original)
    found = call("verify", original, "--sample", 0, "--blocks", 0, *arguments)
    assert found.exit_code == 2
    assert said in found.stderr.splitlines()[-1]
    assert proofs(original) == before


def test_run_prove_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    text = """
name = "control"
seed = 1
trajectories = 5
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2] }
law = { name = "planted", modes = [0], scale = 0.5 }
"""
    (tmp_path / "control.toml").write_text(text)
    said = call("run", tmp_path / "control.toml", "--out", tmp_path / "run", "--on", "inline", "--prove")
    assert said.exit_code == 2
    assert "nothing can be proved: case" in said.stderr
    assert not (tmp_path / "run").exists()
    said = call("run", tmp_path / "control.toml", "--out", tmp_path / "run", "--dry-run", "--prove")
    assert said.exit_code == 2
    assert "nothing to prove" in said.stderr
