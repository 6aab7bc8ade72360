"""Starts of a run proved, on any runner: what is kept, what it is made of, what goes on and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from proving import everything, made, path_of, proofs

import basins
from basins import laws
from basins.errors import ArgumentError, RunError
from basins.execution.proving import plan
from basins.execution.run import extend, prove_run
from basins.execution.run import run as carry_out
from basins.experiment import Experiment
from basins.progress import Event, PlainProgress, RunEnded, RunStarted, ShardDone
from basins.proof import TIERS
from basins.run_tables import open_run
from basins.show import proof_text, show
from basins.store import files_at, layout, proved


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; of "wide" most rows are censored."""
    return made(tmp_path_factory.mktemp("original") / "run")


@pytest.fixture(scope="module")
def proved_all(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every start tried, in one go, inline."""
    path = tmp_path_factory.mktemp("proved") / "run"
    shutil.copytree(original, path)
    prove_run(path, on="inline")
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def sampled(run: Path) -> list[proved.Proving]:
    files, manifest = files_at(run), open_run(run).manifest
    return [one for one, _ in proved.folders(files, manifest) if one.sample is not None]


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_every_start_has_the_row_that_prove_gives(proved_all: Path) -> None:
    opened, proving = open_run(proved_all), everything(proved_all)
    case = opened.case("wide")
    table = proved.read(proving.files(files_at(proved_all)), case, 1)
    start = laws.starts(case.problem, case.law, 5, 1)
    proof = basins.prove(case.problem, start)
    assert table["id"].to_pylist() == list(range(1024, 2048))
    assert proof.proved.all()
    assert table["proved"].to_pylist() == proof.proved.tolist()
    for name in ("t", "error", "margin", "growth", "steps"):
        assert np.array_equal(table[name].to_numpy(), getattr(proof, name)), name
    assert table["tier"].to_pylist() == [TIERS[tier] for tier in proof.tier]
    assert table["reason"].null_count == len(table)
    # "wide" has 2,100 ids: its last shard has 52.
    assert [len(proving.ids(case, shard)) for shard in range(3)] == [1024, 1024, 52]


def test_footers_say_what_rows_depend_on(proved_all: Path) -> None:
    case = open_run(proved_all).case("wide")
    metadata = pq.read_metadata(proved_all / path_of(proved_all, "wide", 2)).metadata
    keys = {name.decode(): value.decode() for name, value in metadata.items() if name.startswith(b"basins.")}
    assert keys == {
        "basins.schema": "2",
        "basins.case": case.key,
        "basins.seed": "5",
        "basins.law": json.dumps(case.law.canonical(case.problem), sort_keys=True, separators=(",", ":")),
        "basins.first_id": "2048",
        "basins.trajectories": "52",
        "basins.proof": str(proved.VERSION),
        "basins.ids": "all",
        "basins.rows": "52",
        "basins.proved": "52",
    }


def test_digests_are_those_of_the_files(proved_all: Path) -> None:
    folder = proved_all / "proved" / str(proved.VERSION) / "all"
    lines = [line.split("  ") for path in folder.glob("digests/*/*") for line in path.read_text().splitlines()]
    assert len(lines) == 4
    for sha, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha


def test_no_other_byte_of_the_run_changes(original: Path, proved_all: Path) -> None:
    def files(path: Path) -> dict[str, bytes]:
        found = {str(one.relative_to(path)): one for one in path.rglob("*") if one.is_file()}
        return {name: one.read_bytes() for name, one in found.items() if not name.startswith("proved/")}

    assert files(original) == files(proved_all)


def test_rows_that_are_kept_nowhere_are_drawn_again(proved_all: Path, tmp_path: Path) -> None:
    path = made(tmp_path / "run", "exceptions")
    assert len(open_run(path).trajectories("narrow")) < 40
    prove_run(path, on="inline")
    assert proofs(path) == proofs(proved_all)


def test_censored_rows_are_proved_and_labels_stay(proved_all: Path) -> None:
    found = open_run(proved_all).estimate().cases[0]
    assert found.censored > 1900
    assert found.proved is not None
    assert (found.proved.tried, found.proved.proved) == (2100, 2100)


# --- who works, and what was there -----------------------------------------------------------------------------------


def test_two_processes_write_the_bytes_of_inline(run: Path, proved_all: Path) -> None:
    prove_run(run, on="processes", workers=2)
    assert proofs(run) == proofs(proved_all)


def test_an_interrupted_proof_goes_on_and_ends_at_the_same_bytes(run: Path, proved_all: Path) -> None:
    events: list[Event] = []

    def interrupt(event: Event) -> None:
        events.append(event)
        if len([one for one in events if isinstance(one, ShardDone)]) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove_run(run, on="inline", listeners=[interrupt])
    assert events[-1] == RunEnded(complete=False)
    first = proofs(run)
    assert len([name for name in first if name.endswith(".parquet")]) == 2
    assert set(first.items()) < set(proofs(proved_all).items()) | {
        (name, content) for name, content in first.items() if "digests" in name
    }
    assert len([name for name in first if "digests" in name]) == 1
    again: list[Event] = []
    prove_run(run, on="inline", listeners=[again.append])
    started = again[0]
    assert isinstance(started, RunStarted)
    assert (started.trajectories, started.trajectories_done, started.shards, started.shards_done) == (2140, 2048, 4, 2)
    assert len([one for one in again if isinstance(one, ShardDone)]) == 2
    assert again[-1] == RunEnded(complete=True)
    assert proofs(run) == proofs(proved_all)


def test_digests_that_a_killed_driver_did_not_write_are_written_by_the_next(run: Path, proved_all: Path) -> None:
    prove_run(run, on="inline")
    shutil.rmtree(next(run.glob("proved/*/all/digests")))
    prove_run(run, on="inline")
    assert proofs(run) == proofs(proved_all)


def test_a_start_that_is_proved_again_to_other_bytes_is_refused(run: Path) -> None:
    prove_run(run, case="narrow", on="inline")
    (digests,) = run.glob("proved/*/all/digests/*/*")
    sha = digests.read_text().split()[0]
    digests.write_text(digests.read_text().replace(sha, "0" * 64))
    (run / path_of(run, "narrow")).unlink()
    with pytest.raises(RunError, match=r"shard 0 of case .* was proved again to other bytes"):
        prove_run(run, case="narrow", on="inline")


FROZEN = {1: "a3eb2ae12d19a1d5"}
"""The first digits of the SHA-256 of the rows of forty starts, by version of the proof."""


def test_another_proof_has_another_version(run: Path) -> None:
    """Proofs that come out otherwise must not lie beside those of before: raise store.proved.VERSION with them."""
    prove_run(run, case="narrow", on="inline")
    rows = proved.read(everything(run).files(files_at(run)), open_run(run).case("narrow"), 0).to_pylist()
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == FROZEN[proved.VERSION]


def test_a_run_that_grows_is_proved_on(run: Path, proved_all: Path) -> None:
    key = open_run(run).case("wide").key
    for kind in layout.COMMIT_ORDER:
        (run / layout.part(kind, key, 1)).unlink()
    prove_run(run, on="inline")
    assert not (run / path_of(run, "wide", 1)).exists()
    found = open_run(run).estimate().cases[0]
    assert found.proved is not None
    assert (found.trajectories, found.proved.tried, found.proved.every) == (1024, 1024, True)
    carry_out(Experiment.from_toml((run / "experiment.toml").read_text(), Path()), run, on="inline")
    found = open_run(run).estimate().cases[0]
    assert found.proved is not None
    assert (found.trajectories, found.proved.tried, found.proved.every) == (2100, 1024, False)
    prove_run(run, on="inline")
    assert proofs(run) == proofs(proved_all)


def test_progress_says_what_is_proved(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prove_run(run, case="narrow", on="inline", listeners=[PlainProgress(every=0.0)])
    said = capsys.readouterr().err
    assert f"40 starts in 1 shards, 0 done; inline, into {run}/proved/{proved.VERSION}/all" in said
    assert "proved 40, not proved 0" in said


def test_proofs_do_not_depend_on_layers(run: Path, proved_all: Path) -> None:
    extend(run, 5000, on="inline")
    prove_run(run, on="inline")
    assert proofs(run) == proofs(proved_all)
    assert open_run(run).estimate().cases[0].censored == 0


# --- a sample --------------------------------------------------------------------------------------------------------


def test_a_sample_is_of_its_seed_and_its_rows_are_those_of_all(run: Path, proved_all: Path) -> None:
    for seed in (0, 1):
        prove_run(run, 100, seed=seed, on="inline")
    before = proofs(run)
    prove_run(run, 100, seed=1, on="processes", workers=2)  # nothing to do
    assert proofs(run) == before
    one, other = sampled(run)
    assert (one.rows, other.rows) == (100, 100)
    files, manifest = files_at(run), open_run(run).manifest
    drawn = []
    for proving in (one, other):
        ids = []
        for case in proving.cases:
            for shard in proving.of_case[case.key]:
                rows = proved.read(proving.files(files), case, shard).to_pylist()
                whole = proved.read(everything(proved_all).files(files_at(proved_all)), case, shard).to_pylist()
                first = manifest.ids(case, shard).start
                assert rows == [whole[row["id"] - first] for row in rows]
                ids += [(case.key, row["id"]) for row in rows]
        assert len(set(ids)) == 100
        drawn.append(set(ids))
    assert drawn[0] != drawn[1]


def test_each_id_has_the_same_chance(original: Path) -> None:
    """400 samples of 100 of 2,140: each id is in 18.7 of them on average, "narrow" has 1.87 of each."""
    manifest = open_run(original).manifest
    wide, narrow = (manifest.cases[k] for k in (0, 1))
    counts: Counter[int] = Counter()
    of_narrow = 0
    for seed in range(400):
        proving = proved.sample_of(manifest, seed, 100, {wide.key: 3, narrow.key: 1})
        for shard in proving.of_case[wide.key]:
            counts.update((proving.ids(wide, shard) // 21).tolist())  # a hundred groups of 21 ids
        of_narrow += sum(len(proving.ids(narrow, shard)) for shard in proving.of_case[narrow.key])
    expected = 400 * 100 * 21 / 2140
    chi2 = sum((counts[group] - expected) ** 2 / expected for group in range(100))
    assert 50 < chi2 < 160  # of about 99 degrees of freedom
    assert abs(of_narrow - 400 * 100 * 40 / 2140) < 4 * np.sqrt(400 * 100 * 40 / 2140)


def test_a_sample_larger_than_the_run_is_the_run(run: Path) -> None:
    prove_run(run, 10_000, case="narrow", on="inline")
    (proving,) = sampled(run)
    assert proving.rows == 40


def test_a_sample_is_drawn_from_shards_without_a_gap(run: Path) -> None:
    key = open_run(run).case("wide").key
    for kind in layout.COMMIT_ORDER:
        (run / layout.part(kind, key, 1)).unlink()
    prove_run(run, 200, case="wide", on="inline")
    (proving,) = sampled(run)
    assert json.loads(proving.sample or b"")["shards"] == {key: 1}
    assert proving.of_case == {key: [0]}


def test_a_sample_that_was_interrupted_goes_on_after_the_run_has_grown(run: Path) -> None:
    key = open_run(run).case("wide").key
    away = {layout.part(kind, key, 2): (run / layout.part(kind, key, 2)).read_bytes() for kind in layout.COMMIT_ORDER}
    for path in away:
        (run / path).unlink()
    prove_run(run, 200, on="inline")
    (begun,) = sampled(run)
    whole = proofs(run)
    next(run.glob(f"proved/*/{begun.name}/rows/case={key}/part-00000001.parquet")).unlink()
    for path, content in away.items():
        (run / path).write_bytes(content)
    prove_run(run, 200, on="inline")
    assert proofs(run) == whole
    prove_run(run, 200, on="inline")  # that one is finished: now it is a sample of all
    assert len(sampled(run)) == 2


# --- labels, and what cannot be proved -------------------------------------------------------------------------------


def test_a_start_on_a_stable_manifold_is_never_proved_a_minimum(original: Path) -> None:
    opened = open_run(original)
    case = opened.case("control")
    starts = laws.starts(case.problem, case.law, 5, 0)[:20]
    assert (opened.trajectories("control")["certificate"] == "invariant").all()
    found = basins.prove(case.problem, starts)
    assert not found.proved.any()
    assert (found.reason >= 0).all()


def test_show_gives_the_error_against_the_margin(proved_all: Path) -> None:
    shown = show(open_run(proved_all), 17, "wide")
    assert shown.proof is not None
    said = proof_text(shown.proof)
    assert said.startswith("Proved: the exact flow from this start goes to a global minimum.")
    assert f"within {shown.proof['error']:.3g} of the computed state" in said
    assert f"less than {shown.proof['margin']:.3g} is required" in said
    assert shown.proof["error"] < shown.proof["margin"]
    assert show(open_run(proved_all), 3, "control").proof is None


def test_cases_that_cannot_be_proved_are_left_out_and_named(run: Path) -> None:
    said: list[str] = []
    prove_run(run, 10, on="inline", on_message=said.append)
    assert len(said) == 1
    assert said[0].startswith("case 'control' is not proved: its law, planted, is null")


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ("t_end = 3.0", "engine.t_end = 3: a proof follows"),
        ("certify = false\nt_end = 3.0", "engine.certify = false: its rows have no labels"),
    ],
)
def test_refused_engines(tmp_path: Path, engine: str, reason: str) -> None:
    text = f"""
name = "refused"
seed = 1
trajectories = 5
data = {{ source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }}
network = {{ hidden = [2] }}
law = {{ name = "gaussian", scale = 0.5 }}
[engine]
{engine}
"""
    carry_out(Experiment.from_toml(text, Path()), tmp_path / "run", on="inline")
    with pytest.raises(ArgumentError, match=reason):
        prove_run(tmp_path / "run", on="inline")
    assert not (tmp_path / "run" / "proved").exists()


def test_null_and_unknown_cases_are_refused(original: Path) -> None:
    with pytest.raises(ArgumentError, match="its law, planted, is null"):
        prove_run(original, case="control", on="inline")
    with pytest.raises(ArgumentError, match="no case 'wild'"):
        prove_run(original, case="wild", on="inline")
    assert not (original / "proved").exists()


@pytest.mark.parametrize("rows", [0, -1, True, 10**9])
def test_refused_numbers(original: Path, rows: int) -> None:
    with pytest.raises(ArgumentError, match="give rows, 1 to 100,000,000, or all"):
        prove_run(original, rows, on="inline")
    with pytest.raises(ArgumentError, match="seed = -1"):
        prove_run(original, 3, seed=-1, on="inline")


def test_a_run_of_other_versions_is_refused(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["versions"] |= {"numpy": "1.0.0"}
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"numpy = 1\.0\.0 there"):
        prove_run(run, on="inline")
    assert not (run / "proved").exists()


def test_a_run_without_shards_is_refused(run: Path) -> None:
    opened = open_run(run)
    for path in [*run.glob("trajectories/*/*")]:
        path.unlink()
    for rows in (None, 10):
        with pytest.raises(RunError, match="no shard is there to be proved"):
            plan(files_at(run), opened.manifest, rows, 0, [opened.case("wide")])
