"""Damage of every kind is found. Shards that are set aside are computed again to the same bytes, or refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import again, data, flip, key, paths, rewritten, row

from basins import verify as verifying
from basins.errors import RunError
from basins.store import files_at, parquet
from basins.store.digests import batch_text, read_batch
from basins.store.layout import COMMIT_ORDER, part
from basins.store.rows import ShardTables
from basins.verify import verify

# --- a run without fault ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["all", "exceptions"])
def test_verify_finds_no_fault_in_a_finished_run_and_changes_nothing(
    copied: Callable[..., Path], rows: str, bytes_of: Any
) -> None:
    run = copied(rows)
    before = data(run)
    found = bytes_of(run)
    assert found.findings == ()
    assert (found.shards, found.good, found.missing, found.without_digests) == (5, 5, 0, 0)
    assert found.trajectories == 2532
    assert bytes_of(run, repair_damage=True).set_aside is None
    assert data(run) == before
    assert not (run / "set-aside").exists()


@pytest.mark.parametrize("rows", ["all", "exceptions"])
def test_recomputed_blocks_are_the_same_bit_for_bit(originals: dict[str, Path], rows: str) -> None:
    found = verify(originals[rows], sample=0, blocks=5)
    assert found.again is not None
    assert (found.again.blocks, found.again.findings, found.again.skipped) == (5, (), "")


def test_missing_shards_of_a_run_in_progress_are_not_damage(copied: Callable[..., Path], bytes_of: Any) -> None:
    """Shard 1 was never written, so no digests mention it."""
    run = copied()
    case = key(run)
    for kind in COMMIT_ORDER:
        (run / part(kind, case, 1)).unlink()
    files = files_at(run)
    batch = read_batch(files, case, 0)
    batch.pop(1)
    batch.pop(2)  # that one is there, its driver was killed before it wrote the digests
    files.put(f"digests/case={case}/batch-00000000.sha256", batch_text(case, batch).encode())
    found = bytes_of(run)
    assert found.findings == ()
    assert (found.shards, found.missing, found.without_digests) == (4, 1, 1)


# --- flipped bits ----------------------------------------------------------------------------------------------------


def places(size: int, rng: np.random.Generator, count: int) -> Iterator[tuple[int, int]]:
    """Random bits: half of them anywhere, half in the last 1.5 kB, where page checksums do not reach."""
    for k in range(count):
        low = 0 if k % 2 else max(0, size - 1536)
        yield int(rng.integers(low, size)), int(rng.integers(8))


FLIPPED = [
    ("trajectories/case={}/part-00000001.parquet", 5),
    ("blocks/case={}/part-00000002.parquet", 5),
    ("visits/case={}/part-00000000.parquet", 4),
    ("digests/case={}/batch-00000000.sha256", 6),
    ("cases.parquet", 4),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), FLIPPED)
def test_hundreds_of_flipped_bits_are_found(copied: Callable[..., Path], name: str, count: int, bytes_of: Any) -> None:
    test_every_flipped_bit_is_found(copied, name, 60 * count, bytes_of)


@pytest.mark.parametrize(("name", "count"), FLIPPED)
def test_every_flipped_bit_is_found(copied: Callable[..., Path], name: str, count: int, bytes_of: Any) -> None:
    run = copied()
    name = name.format(key(run))
    path, content = run / name, (run / name).read_bytes()
    for at, bit in places(len(content), np.random.default_rng(len(name)), count):
        flip(path, at, bit)
        assert paths(bytes_of(run)) == {name}, (at, bit)
        path.write_bytes(content)


@pytest.mark.parametrize("kind", COMMIT_ORDER)
def test_a_flipped_bit_is_found_without_digests(copied: Callable[..., Path], kind: Any, bytes_of: Any) -> None:
    """The driver was killed before it wrote digests. The block file's record and rewriting the rows find the bit."""
    run = copied()
    case = key(run)
    (run / f"digests/case={case}/batch-00000000.sha256").unlink()
    name = part(kind, case, 1)
    path, content = run / name, (run / name).read_bytes()
    for at, bit in places(len(content), np.random.default_rng(4), 4):
        flip(path, at, bit)
        assert name in paths(bytes_of(run)), (at, bit)
        path.write_bytes(content)


def test_page_checksums_alone_would_miss_some(originals: dict[str, Path], tmp_path: Path) -> None:
    """The digests are needed: a reader does not notice some flipped bits near the end of a file."""
    content = (originals["all"] / part("trajectories", key(originals["all"]), 1)).read_bytes()
    wanted = parquet.read(files_at(originals["all"]), part("trajectories", key(originals["all"]), 1))
    passed = 0
    for at in range(len(content) - 1500, len(content), 15):
        (tmp_path / "x").write_bytes(content)
        flip(tmp_path / "x", at, 3)
        try:
            passed += parquet.read(files_at(tmp_path), "x").equals(wanted)
        except Exception:
            continue
    assert passed > 0


def said_of(run: Path) -> set[str]:
    """The files that `verify` finds damaged, or the one file without which it refuses to continue."""
    try:
        return paths(verify(run, sample=0, blocks=0))
    except RunError as error:
        return {"manifest.json"} if re.search(r"manifest\.json is damaged|schema version", str(error)) else set()


def test_every_flipped_bit_of_the_manifest_and_the_experiment_is_found(copied: Callable[..., Path]) -> None:
    """Except in text that is stored nowhere else: the packages' versions, and the name of a case's data."""
    run = copied()
    rng = np.random.default_rng(11)
    for name in ("manifest.json", "experiment.toml"):
        path, content = run / name, (run / name).read_bytes()
        words = [m.span() for m in re.finditer(rb'"(versions)": \{[^}]*\}|"source": "[^"]*"', content)]
        for _ in range(16):
            at, bit = int(rng.integers(len(content))), int(rng.integers(8))
            if name == "manifest.json" and any(a <= at < b for a, b in words):
                continue
            flip(path, at, bit)
            assert said_of(run) & {"manifest.json", "experiment.toml"}, (name, at, bit)
            path.write_bytes(content)


# --- other damage ----------------------------------------------------------------------------------------------------


def truncated(run: Path) -> set[str]:
    name = part("trajectories", key(run), 0)
    (run / name).write_bytes((run / name).read_bytes()[:-100])
    return {name}


def another_shard_s(run: Path) -> set[str]:
    case = key(run)
    content = [(run / part("blocks", case, shard)).read_bytes() for shard in (0, 1)]
    for shard, other in enumerate(reversed(content)):
        (run / part("blocks", case, shard)).write_bytes(other)
    return {part("blocks", case, 0), part("blocks", case, 1)}


def all_three_of_another_shard(run: Path) -> set[str]:
    case = key(run)
    for kind in COMMIT_ORDER:
        (run / part(kind, case, 1)).write_bytes((run / part(kind, case, 0)).read_bytes())
    return {part(kind, case, 1) for kind in COMMIT_ORDER}


def lost_visits(run: Path) -> set[str]:
    name = part("visits", key(run, "integrated"), 0)
    (run / name).unlink()
    return {name}


def lost_commit_mark(run: Path) -> set[str]:
    name = part("trajectories", key(run), 2)
    (run / name).unlink()
    return {name}


def lost_digests(run: Path) -> set[str]:
    name = f"digests/case={key(run)}/batch-00000000.sha256"
    (run / name).unlink()
    return {name}


def lost_line_of_the_digests(run: Path) -> set[str]:
    case, files = key(run), files_at(run)
    batch = read_batch(files, case, 0)
    batch.pop(1)
    name = f"digests/case={case}/batch-00000000.sha256"
    files.put(name, batch_text(case, batch).encode())
    return {name}


def a_stray_table(run: Path) -> set[str]:
    case = key(run)
    names = {
        f"trajectories/case={case}/copy.parquet",
        part("trajectories", case, 3),
        "blocks/case=c0/part-00000000.parquet",
    }
    for name in names:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes((run / part("trajectories", case, 1)).read_bytes())
    return names


def a_spoilt_record(run: Path) -> set[str]:
    (run / "verified").mkdir()
    (run / "verified/seed-0-x.json").write_text("{")
    return {"verified/seed-0-x.json"}


def lost_cases(run: Path) -> set[str]:
    (run / "cases.parquet").unlink()
    return {"cases.parquet"}


DAMAGE = [
    truncated, another_shard_s, all_three_of_another_shard, lost_visits, lost_commit_mark, lost_digests,
    lost_line_of_the_digests, a_stray_table, a_spoilt_record, lost_cases,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_set_aside_and_computed_again(
    copied: Callable[..., Path], damage: Callable[[Path], set[str]], bytes_of: Any
) -> None:
    run = copied()
    whole = data(run)
    names = damage(run)
    content = {name: (run / name).read_bytes() for name in names if (run / name).exists()}
    found = bytes_of(run, repair_damage=True)
    assert paths(found) == names
    assert found.left == ()
    assert found.set_aside == "set-aside/0001/"
    for name, spoilt in content.items():  # nothing is deleted
        assert (run / found.set_aside / name).read_bytes() == spoilt
    assert set(json.loads((run / "set-aside/0001/why.json").read_text())) == names
    assert bytes_of(run).findings == ()  # what is missing now is no damage
    if damage in (all_three_of_another_shard, lost_digests, lost_visits):
        again(run)
        assert data(run) == whole
        assert bytes_of(run).findings == ()


def test_a_second_repair_has_a_folder_of_its_own(copied: Callable[..., Path], bytes_of: Any) -> None:
    run = copied()
    for number, shard in ((1, 0), (2, 1)):
        name = part("trajectories", key(run), shard)
        (run / name).write_bytes(b"")
        assert bytes_of(run, repair_damage=True).set_aside == f"set-aside/000{number}/"


def test_a_misspelt_digest_is_blamed_on_the_digest_file(copied: Callable[..., Path], bytes_of: Any) -> None:
    """The shard is right and stays. The digest of another file would agree in about 4 digits of 64."""
    run = copied()
    name = f"digests/case={key(run)}/batch-00000000.sha256"
    whole = (run / name).read_bytes()
    flip(run / name, whole.index(b"trajectories") - 10, 0)
    found = bytes_of(run, repair_damage=True)
    assert paths(found) == {name}
    assert found.good == 5
    assert (run / name).read_bytes() == whole


# --- digests after a repair ------------------------------------------------------------------------------------------


def test_a_recomputed_shard_must_match_its_old_digests(copied: Callable[..., Path], bytes_of: Any) -> None:
    """A shard of other rows is damaged and set aside while its digests stay: the true rows are refused."""
    run = copied()

    def later(tables: ShardTables) -> ShardTables:
        return row(3, gradient_norm=9.0)(tables)  # nothing contradicts it

    rewritten(run, "integrated", 0, later)
    flip(run / part("trajectories", key(run, "integrated"), 0), 700, 2)
    assert bytes_of(run, repair_damage=True).left == ()
    with pytest.raises(RunError, match=r"shard 0 of case .* was computed again to other bytes"):
        again(run)


def test_a_shard_without_digests_must_match_its_block_file(copied: Callable[..., Path], bytes_of: Any) -> None:
    run = copied()
    case = key(run, "integrated")
    name = f"digests/case={case}/batch-00000000.sha256"
    lines = (run / name).read_text()
    (run / name).unlink()
    for kind in COMMIT_ORDER:  # the run is not complete, so that no digests is no damage
        (run / part(kind, key(run), 1)).unlink()
    flip(run / part("trajectories", case, 0), 700, 2)
    found = bytes_of(run, repair_damage=True)
    assert part("trajectories", case, 0) in paths(found)
    assert (run / name).read_text() == lines


# --- manifest and experiment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"seed": 5', '"seed": 6', "seed = 5 in experiment.toml, 6 in manifest.json"),
        ('"visits_every": 10', '"visits_every": 20', "visits_every = 10 in experiment.toml, 20"),
        ('"blocks": 3,', '"blocks": 4,', 'it says "blocks": 4, where "blocks": 3, follows'),
        ('"sigma": [2.0, 1.0]', '"sigma": [2.0, 1.5]', "it and cases.parquet disagree on sigma"),
        ('"rtol": 1e-08', '"rtol": 1e-06', "edited"),
        ('"trajectories": 12', '"trajectories": 13', "case 'control': trajectories = 12 in experiment.toml, 13"),
    ],
)
def test_an_edited_manifest_stops_the_check(
    copied: Callable[..., Path], old: str, new: str, words: str, bytes_of: Any
) -> None:
    run = copied()
    text = (run / "manifest.json").read_text()
    assert old in text
    (run / "manifest.json").write_text(text.replace(old, new))
    found = bytes_of(run, repair_damage=True)
    assert paths(found) == {"manifest.json"}
    assert words in " ".join(one.what for one in found.findings)
    assert (found.shards, found.set_aside) == (0, None)
    assert found.left == found.findings


def test_an_edited_experiment_is_found(copied: Callable[..., Path], bytes_of: Any) -> None:
    run = copied()
    text = (run / "experiment.toml").read_text()
    (run / "experiment.toml").write_text(text.replace("d_x = 2", "d_x = 2 # two"))
    assert "its experiment digest is not that of experiment.toml" in bytes_of(run).findings[0].what
    (run / "experiment.toml").unlink()
    assert bytes_of(run).findings[0].path == "experiment.toml"


def test_the_cases_table_of_another_pyarrow_is_compared_by_value(
    copied: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, bytes_of: Any
) -> None:
    run = copied()
    monkeypatch.setattr(verifying, "versions", lambda: (("pyarrow", "0"),))
    assert bytes_of(run).findings == ()
    found = verify(run, sample=0, blocks=2)
    assert found.again is not None
    assert found.again.blocks == 0
    assert "the run was made with other versions (pyarrow" in found.again.skipped


def test_digests_agree_with_sha256sum(originals: dict[str, Path]) -> None:
    """`verify` compares with the digests that any other tool computes."""
    run = originals["all"]
    for line in (line for path in run.glob("digests/*/*") for line in path.read_text().splitlines()):
        sha, name = line.split("  ")
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == sha
