"""Compares the manifest, the experiment and the table of cases with each other, and finds files that are not the
run's."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from typing import Any

from basins.errors import RunError
from basins.experiment.case import spelt_out
from basins.landscapes.deep_linear.problem import Problem
from basins.store import Files, Manifest, layout, parquet
from basins.store.commit import cases_table, experiment_text
from basins.store.growth import stage_of_text
from basins.store.kept_data import wrong_data
from basins.store.layers import Layer
from basins.store.layout import COMMIT_ORDER
from basins.verify.finding import Finding, Trouble
from basins.verify.shard_source import ShardSource


def check_definition(files: Files, manifest: Manifest) -> list[Finding]:
    """Problems with manifest.json and experiment.toml. If there are any, nothing else of the run can be checked."""
    found = [Finding(layout.MANIFEST, what, Trouble.manifest) for what in _not_as_written(files, manifest)]
    try:
        text = files.get(layout.EXPERIMENT).decode()
        values = tomllib.loads(text)
        manifest = manifest.as_of(stage_of_text(manifest, text) or manifest.stage)  # a growth may be cut off before it
        differ = [*_disagreements(manifest, values)]
    except FileNotFoundError:
        return [*found, Finding(layout.EXPERIMENT, "gone", Trouble.manifest)]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        return [*found, Finding(layout.EXPERIMENT, f"damaged ({error})", Trouble.manifest)]
    if differ:
        what = f"it and {layout.EXPERIMENT} disagree: {'; '.join(differ[:3])}"
        found.append(Finding(layout.MANIFEST, what, Trouble.manifest))
    elif not found:
        content = "\n".join([text, *(case.key for case in manifest.cases)])
        if hashlib.sha256(content.encode()).hexdigest() != manifest.digest:
            what = f"its experiment digest is not that of {layout.EXPERIMENT} and the cases' numbers"
            found.append(Finding(layout.MANIFEST, what, Trouble.manifest))
    return found


def check_data(files: Files) -> list[Finding]:
    """What is wrong with the data that the run keeps. No shard depends on it, for the manifest has the problems'
    numbers."""
    return [Finding(name, what, Trouble.data) for name, what in wrong_data(files, experiment_text(files)).items()]


def _not_as_written(files: Files, manifest: Manifest) -> Iterator[str]:
    """Where the manifest differs from its canonical form, in which keys and plan follow from its numbers."""
    there, written = files.get(layout.MANIFEST), manifest.to_json()
    if there != written:
        lines = zip(there.decode(errors="replace").splitlines(), written.decode().splitlines(), strict=False)
        first = next(((a.strip(), b.strip()) for a, b in lines if a != b), ("its end", "nothing"))
        yield f"edited: it says {first[0][:60]} where {first[1][:60]} follows from the rest"


def _disagreements(manifest: Manifest, values: dict[str, Any]) -> Iterator[str]:
    """Where the experiment's text and the manifest differ, except in the problems' numbers."""
    pairs = [(name, values[name], getattr(manifest, name)) for name in ("name", "seed", "blocks_per_shard")]
    pairs = [one for one in pairs if one[:2] != ("blocks_per_shard", "auto")]  # only the manifest has the number
    pairs += [(name, values[name], getattr(manifest, name)) for name in ("visits_every", "rows")]
    pairs.append(("number of cases", len(values["case"]), len(manifest.cases)))
    for table, case in zip(values["case"], manifest.cases, strict=False):
        engine = spelt_out(case.settings)
        engine["name"] = engine.pop("engine")
        pairs += [
            (f"case {table['name']!r}: {key}", table[key], value)
            for key, value in (
                ("name", case.name),
                ("trajectories", case.trajectories),
                ("law", {"name": case.law.name, **case.law.parameters()}),
                ("engine", engine),
            )
        ]
        if isinstance(case.landscape, Problem):
            hidden = list(case.landscape.hidden)
            pairs.append((f"case {table['name']!r}: network.hidden", list(table["network"]["hidden"]), hidden))
        else:
            pairs.append((f"case {table['name']!r}: landscape.kind", table["landscape"]["kind"], case.kind))
        if case.dynamics_kind or "dynamics" in table:
            there = case.dynamics_table if case.dynamics_kind else None
            pairs.append((f"case {table['name']!r}: dynamics", table.get("dynamics"), there))
    for name, written, there in pairs:
        if written != there:
            yield f"{name} = {written} in {layout.EXPERIMENT}, {there} in {layout.MANIFEST}"


def check_cases(files: Files, manifest: Manifest, same_writer: bool) -> list[Finding]:
    """Problems with cases.parquet. same_writer: whether its bytes must equal those written here.

    An intact table whose numbers differ from the manifest's is evidence against the manifest: the problems' numbers are
    stored nowhere else, since experiment.toml says only how to compute them.
    """
    try:
        content, table = files.get(layout.CASES), parquet.read(files, layout.CASES)
        there = parquet.footer(files, layout.CASES).keys
        # of an earlier stage where a growth was cut off before it
        manifest = manifest.as_of(manifest.digests().get(there.get("experiment", ""), manifest.stage))
        wanted = cases_table(manifest)
        keys = {"schema": str(manifest.schema), "experiment": manifest.digest}
        rows = table.replace_schema_metadata(None).cast(wanted.schema)
        intact = there == keys and (not same_writer or content == parquet.encode(rows, keys).to_pybytes())
    except FileNotFoundError:
        return [Finding(layout.CASES, "gone", Trouble.cases)]
    except Exception as error:  # a flipped bit may make a decoder raise anything
        return [Finding(layout.CASES, f"damaged ({_reason(error)})", Trouble.cases)]
    if not intact:
        return [Finding(layout.CASES, "its rows, written again, give other bytes", Trouble.cases)]
    if rows.equals(wanted):
        return []
    differ = [name for name in wanted.schema.names if not rows[name].equals(wanted[name])]
    what = f"it and {layout.CASES} disagree on {', '.join(differ) or 'the cases'}"
    return [Finding(layout.MANIFEST, what, Trouble.manifest)]


def _reason(error: Exception) -> str:
    text = error.what if isinstance(error, RunError) else str(error)
    return " ".join(text.split())[:200]


def check_layers(files: Files, layers: list[Layer]) -> list[Finding]:
    """Layers whose layer.json, with which their shards are compared, was edited."""
    found = []
    for layer in layers:
        path = layout.layer(layer.number) + layout.LAYER
        if files.get(path) != layer.to_json():
            found.append(Finding(path, "edited since it was written", Trouble.manifest))
    return found


def foreign_files(place: ShardSource) -> list[str]:
    """Files in the shards' folders whose names are not a shard's. They are reported and left alone."""
    return [place.path(path) for path in _beside_shards(place) if layout.foreign(path)]


def _beside_shards(place: ShardSource) -> Iterator[str]:
    for kind in COMMIT_ORDER:
        yield from place.files.paths(f"{kind}/")


def check_strays(place: ShardSource) -> list[Finding]:
    """Parquet files in the shards' folders that are not shards: a reader of the whole folder would count their rows."""
    shards = {case.key: set(place.contents.shards(case)) for case in place.contents.cases}
    found = []
    for path in _beside_shards(place):
        if layout.foreign(path):
            continue
        try:
            case, shard = layout.case_of(path), layout.file_of(path)[1]
        except ValueError:
            found.append(place.finding(path, "not a file of a shard", Trouble.stray))
            continue
        if case not in shards:
            found.append(place.finding(path, "belongs to a case that is not planned here", Trouble.stray))
        elif shard not in shards[case]:
            found.append(
                place.finding(path, f"not among the {len(shards[case])} shards that are planned", Trouble.stray)
            )
    return found
