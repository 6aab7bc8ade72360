"""Runs whose starts are proved, and their files of proofs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.run_tables import open_run
from basins.store import files_at, layout, proved
from basins.store.proved import Proving

TEXT = """
name = "to prove"
seed = 5
rows = "{rows}"
visits_every = 100
blocks_per_shard = 1
data = {{ source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }}
network = {{ hidden = [2, 2] }}
[[case]]
name = "wide"
trajectories = 2100
law = {{ name = "gaussian", scale = 0.5 }}
engine = {{ budget = 60 }}
[[case]]
name = "narrow"
trajectories = 40
law = {{ name = "gaussian", scale = 1.0 }}
[[case]]
name = "control"
trajectories = 20
law = {{ name = "planted", modes = [0], scale = 0.5 }}
"""
"""Four shards whose starts can be proved; most rows of "wide" are censored, for its budget is short."""


def made(path: Path, rows: str = "all") -> Path:
    run_module.run(Experiment.from_toml(TEXT.format(rows=rows), Path()), path, on="inline")
    return path


def proofs(run: Path) -> dict[str, bytes]:
    """Every file of RUN/proved that promises its bytes."""
    found = {str(path.relative_to(run)): path for path in sorted(run.glob("proved/**/*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "/telemetry/" not in name}


def everything(run: Path) -> Proving:
    return proved.named(files_at(run), open_run(run).manifest, layout.EVERY_ID)


def path_of(run: Path, name: str = "wide", shard: int = 0) -> str:
    """Of a file of all proofs, in the run."""
    return layout.proved(proved.VERSION, layout.EVERY_ID) + layout.proofs(open_run(run).case(name).key, shard)


def changed(run: Path, name: str, shard: int, change: Callable[[list[dict[str, object]]], object]) -> None:
    """Rows of all proofs changed, and written as a worker and a driver would, digests and all."""
    proving, case = everything(run), open_run(run).case(name)
    folder = proving.files(files_at(run))
    rows = proved.read(folder, case, shard).to_pylist()
    change(rows)
    proved.commit(folder, proving, case, shard, pa.Table.from_pylist(rows, schema=proved.PROOFS).combine_chunks())
    (run / folder.prefix / layout.digests(case.key, 0)).unlink()
    proved.ProofDigests(folder, proving).close()


def not_proved(*ids: int) -> Callable[[list[dict[str, object]]], object]:
    """These ids of the first shard, not proved for their steps."""

    def change(rows: list[dict[str, object]]) -> None:
        for id in ids:
            rows[id] |= {"proved": False, "reason": "too many steps", "tier": "E", "error": 3.0, "margin": 0.0}

    return change
