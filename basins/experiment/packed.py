"""A packed experiment: a folder with the first files of a run: experiment.toml and manifest.json, and data.npz where
the experiment was made of arrays.

It holds the problem's numbers and needs no data. So a machine that unpacks it runs exactly what was validated where it
was packed, to the last bit of the SVD, and makes the same bytes. A run's own folder on a disk is a packed experiment
too.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from basins.errors import ExperimentError, RunError
from basins.experiment import Experiment, load
from basins.experiment.attached import named_in, refuse_other
from basins.experiment.document import Document, validated
from basins.experiment.experiment import default_rows
from basins.home import with_home
from basins.store import Manifest, layout
from basins.versions import skew

REMEDY = "give a run's folder, or a TOML file"


def opened(path: Path) -> Experiment:
    """The experiment of a TOML file, or of a folder that holds it packed. Raises as `load` and `unpack` do."""
    path = Path(with_home(path))
    return unpack(path) if (path / layout.MANIFEST).exists() else load(path)


def pack(experiment: Experiment) -> dict[str, bytes]:
    """The files of a packed experiment, by name."""
    from basins.experiment.pilot import decided

    manifest = Manifest.of(decided(experiment))  # an "auto" plan is decided here, not on the cluster's head
    return {
        layout.EXPERIMENT: experiment.text.encode(),
        layout.MANIFEST: manifest.to_json(),
        **experiment.files,
    }


def unpack(folder: Path) -> Experiment:
    """The experiment that was packed into a folder, without reading data or decomposing it again.

    Raises ExperimentError if the folder does not hold a complete one, DataError if its data have changed, RunError if
    it was packed with other versions.
    """
    where = str(folder)
    try:
        text, manifest = (folder / layout.EXPERIMENT).read_text("utf-8"), (folder / layout.MANIFEST).read_bytes()
    except OSError as error:
        what = f"no experiment in this folder: {Path(error.filename).name}: {error.strerror}"
        raise ExperimentError(what, where=where, remedy=REMEDY) from None
    except UnicodeDecodeError:
        raise ExperimentError("not UTF-8 text", where=f"{where}/{layout.EXPERIMENT}", remedy=REMEDY) from None
    packed = Manifest.from_json(manifest, where)
    skewed = skew(dict(packed.versions))
    if skewed:
        what = f"made with other versions, whose bytes may differ: {skewed}"
        raise RunError(what, where=where, remedy="install those versions, or give the TOML file")
    try:
        document = validated(Document, tomllib.loads(text), f"{where}/{layout.EXPERIMENT}")
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"not TOML: {error}", where=f"{where}/{layout.EXPERIMENT}", remedy=REMEDY) from None
    experiment = Experiment.made(
        name=document.name,
        seed=document.seed,
        cases=packed.cases,
        blocks_per_shard=packed.blocks_per_shard,
        visits_every=document.visits_every,
        rows=packed.rows,
        text=text,
        files=_files(folder, text),
        rows_given=packed.rows != default_rows(packed.cases),  # whether it was given is not in the text
    )
    if experiment.digest != packed.digest:
        what = f"{layout.EXPERIMENT} and {layout.MANIFEST} do not belong together"
        raise ExperimentError(what, where=where, remedy=REMEDY)
    return experiment


def _files(folder: Path, text: str) -> dict[str, bytes]:
    """The data that the experiment keeps. Raises ExperimentError where they are gone, DataError where they differ."""
    found = {}
    for name, wanted in named_in(text).items():
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            what = f"the data of this experiment: {error.strerror}"
            raise ExperimentError(what, where=f"{folder}/{name}", remedy=f"put back a copy of {name}") from None
        refuse_other(found[name], wanted, f"{folder}/{name}")
    return found
