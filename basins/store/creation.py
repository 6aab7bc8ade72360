"""A run is created, resumed, or grown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from basins.errors import RunError
from basins.experiment import Experiment
from basins.store import layout, parquet, schemas
from basins.store.commit import cases_table, experiment_text, read_manifest
from basins.store.files import Files
from basins.store.growth import grow, resume_or_grow
from basins.store.kept_data import add_data, foreign_paths, put_data, refuse_wrong_data
from basins.store.manifest import Manifest, refuse_if_different, refuse_read_only, refuse_skew


def create_or_resume(files: Files, experiment: Experiment, on_message: Callable[[str], object] = str) -> Manifest:
    """The manifest of the run of this experiment: created if there is none, compared if there is, grown if the
    experiment has more trajectories or more cases. on_message: called with a line that says what is added, before it
    is.

    Raises RunError if the place holds something else, or a run whose experiment, plan or versions differ in anything
    that cannot be added.
    """
    new = not files.exists(layout.MANIFEST)
    if new and experiment.blocks_per_shard is None:
        experiment = _with_pilot_plan(experiment)
    elif not new:
        there = read_manifest(files)
        if experiment.auto:
            experiment = experiment.changed(blocks_per_shard=there.blocks_per_shard)
        if not experiment.rows_given and experiment.rows != there.rows:  # above 10^7 too, a run keeps what it kept
            experiment = experiment.keeping(there.rows)
    wanted = Manifest.of(experiment)
    if new:
        _create(files, wanted, experiment)
    # Read back also what was just written: another driver may have created another run here at the same moment.
    manifest = read_manifest(files)
    refuse_read_only(manifest, files.uri)
    if experiment.auto:
        wanted = replace(wanted, blocks_per_shard=manifest.blocks_per_shard)
    refuse_skew(manifest, wanted, files.uri)
    growth = resume_or_grow(files, manifest, wanted, experiment.text, experiment.rows_given)
    if growth is not None:
        add_data(files, experiment_text(files), experiment)
        on_message(growth.said())
        grow(files, growth.manifest, experiment.text)
        manifest = read_manifest(files)
    refuse_if_different(manifest, experiment_text(files), wanted, experiment.text, files.uri)
    refuse_wrong_data(files, experiment.text)
    return manifest


def _create(files: Files, wanted: Manifest, experiment: Experiment) -> None:
    foreign = foreign_paths(files, experiment, layout.CREATION_FILES)
    if foreign:
        raise RunError(
            f"not empty and not a run ({foreign[0]} is there, {layout.MANIFEST} is not)",
            where=files.uri,
            remedy="give an empty or a new folder",
        )
    keys = {"schema": str(schemas.VERSION), "experiment": wanted.digest}
    content = {
        layout.EXPERIMENT: experiment.text.encode(),
        layout.CASES: parquet.encode(cases_table(wanted), keys),
        layout.MANIFEST: wanted.to_json(),
    }
    put_data(files, experiment)
    for path in layout.CREATION_FILES:
        files.put(path, content[path])


def _with_pilot_plan(experiment: Experiment) -> Experiment:
    from basins.experiment.pilot import decided  # integrates: brings the engines

    return decided(experiment)
