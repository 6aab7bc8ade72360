"""A run grows: what would be added, why something else cannot be, and the step itself.

docs/design.md, Growing, says why it is done in this order.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from basins.errors import RunError
from basins.experiment import Case
from basins.laws import BLOCK
from basins.store import layout, parquet
from basins.store.commit import cases_table, experiment_text
from basins.store.committed import is_committed, short_shards
from basins.store.digests import batch_text, read_batch, trajectory_digests
from basins.store.files import Files
from basins.store.layout import DIGEST_BATCH
from basins.store.manifest import OTHER_OUT, Change, Manifest, changes_between, changes_said, leaves_of
from basins.store.stages import Stage, StagedCase


@dataclass(frozen=True)
class Growth:
    """What a run becomes. manifest: the grown one; longer: cases with more trajectories, as they were and as they will
    be; new: cases that were not there."""

    manifest: Manifest
    longer: tuple[tuple[Case, Case], ...]
    new: tuple[Case, ...]

    def said(self) -> str:
        """What is added, in one line."""
        added = sum(case.trajectories for case in self.new) + sum(
            after.trajectories - before.trajectories for before, after in self.longer
        )
        parts = [
            f"case {after.name!r} {before.trajectories:,} -> {after.trajectories:,}" for before, after in self.longer
        ]
        parts += [f"new case {case.name!r} {case.trajectories:,}" for case in self.new]
        more = [f"and {len(parts) - 4:,} cases more"] * (len(parts) > 4)
        short = sum(_short_end(self.manifest, before) is not None for before, _ in self.longer)
        replaced = f"; {short:,} short last {'shard is' if short == 1 else 'shards are'} replaced" if short else ""
        return (
            f"the run grows by {added:,} trajectories (stage {self.manifest.stage}): {', '.join(parts[:4] + more)}"
            f"{replaced}"
        )


def _short_end(manifest: Manifest, case: Case) -> int | None:
    """The last shard of a case, where its ids end before a shard's end."""
    shard, length = divmod(case.trajectories, BLOCK * manifest.blocks_per_shard)
    return shard if length else None


# --- what may grow ---------------------------------------------------------------------------------------------------


def growth(files: Files, there: Manifest, here: Manifest) -> Growth | None:
    """What the run `there` would become: None unless all of its cases are here, none is smaller, and something is
    added. What else differs is for `cannot_grow` to name."""
    wanted = {case.key: case for case in here.cases}
    if any(case.key not in wanted or wanted[case.key].trajectories < case.trajectories for case in there.cases):
        return None
    old = {case.key: case for case in there.cases}
    # The run's own numbers of a problem are used, as where it is resumed.
    cases = tuple(
        old[case.key].changed(name=case.name, trajectories=case.trajectories) if case.key in old else case
        for case in here.cases
    )
    pairs = [(old[case.key], case) for case in cases if case.key in old]
    longer = tuple((before, after) for before, after in pairs if after.trajectories > before.trajectories)
    new = tuple(case for case in cases if case.key not in old)
    if not longer and not new:
        return None
    stage = Stage(there.digest, tuple(_staged(files, there, case) for case in there.cases))
    manifest = replace(there, digest=here.digest, cases=cases, stages=(*there.stages, stage))
    return Growth(manifest, longer, new)


def _staged(files: Files, manifest: Manifest, case: Case) -> StagedCase:
    last, sha = _short_end(manifest, case), None
    if last is not None and is_committed(files, case.key, last) and last not in short_shards(files, manifest, case):
        sha = trajectory_digests(files, case.key, [last])[0] or None
    return StagedCase(case.key, case.name, case.trajectories, sha)


def cannot_grow(
    there: Manifest, text_there: str, here: Manifest, text_here: str, rows_given: bool, where: str
) -> list[Change]:
    """What differs and cannot be added, by name; what could be added is left out."""
    try:
        old = tomllib.loads(text_there)
    except tomllib.TOMLDecodeError as error:
        what = f"{layout.EXPERIMENT} is damaged: {error}"
        raise RunError(what, where=where, remedy="restore it, or give another --out") from None
    new = tomllib.loads(text_here)
    heads = [dict(leaves_of({key: value for key, value in one.items() if key != "case"})) for one in (old, new)]
    found = [change for change in changes_between(*heads) if change[0] != "rows" or rows_given]
    return found + list(_changed_cases(there, old, here, new))


def _changed_cases(there: Manifest, old: Mapping[str, Any], here: Manifest, new: Mapping[str, Any]) -> Iterator[Change]:
    tables = [{table["name"]: table for table in one["case"]} for one in (old, new)]
    keys = {case.key for case in there.cases}
    by_key = {case.key: case for case in here.cases}
    others = {case.name for case in here.cases if case.key not in keys}
    for case in there.cases:
        name = f"case[{case.name}]"
        if case.key in by_key:
            if by_key[case.key].trajectories < case.trajectories:
                yield f"{name}.trajectories", case.trajectories, by_key[case.key].trajectories
        elif case.name not in others:
            yield f"case {case.name!r} is not in it", None, None
        else:
            pair = [dict(leaves_of({name: table[case.name]})) for table in tables]
            changes = [one for one in changes_between(*pair) if one[0] != f"{name}.trajectories"]
            yield from changes or [(f"the data of case {case.name!r} has changed", None, None)]


def refusal(changes: list[Change], where: str) -> RunError:
    """Why the run does not become what was asked for."""
    only_less = all(name.endswith("].trajectories") for name, _, _ in changes)
    if only_less:
        what = f"a run grows and never shrinks: {changes_said(changes)}"
        return RunError(what, where=where, remedy="give at least as many trajectories, or another --out")
    return RunError(f"a run of another experiment: {changes_said(changes)}", where=where, remedy=OTHER_OUT)


# --- the step --------------------------------------------------------------------------------------------------------


def grow(files: Files, grown: Manifest, text: str) -> None:
    """Make the run the grown one. The first put is the growth; where a kill leaves the others out, `complete` makes
    them."""
    files.put(layout.MANIFEST, grown.to_json())
    complete(files, grown, text)


def complete(files: Files, grown: Manifest, text: str) -> None:
    """Write the table of cases and the experiment of a run that has grown."""
    keys = {"schema": str(grown.schema), "experiment": grown.digest}
    files.put(layout.CASES, parquet.encode(cases_table(grown), keys))
    files.put(layout.EXPERIMENT, text.encode())


def stage_of_text(manifest: Manifest, text: str) -> int | None:
    """The stage that an experiment.toml is of: an earlier one where a growth was interrupted. None: it is of none."""
    for stage in range(manifest.stage, 0, -1):
        of = manifest.as_of(stage)
        content = "\n".join([text, *(case.key for case in of.cases)])
        if hashlib.sha256(content.encode()).hexdigest() == of.digest:
            return stage
    return None


def forget_short_digests(files: Files, manifest: Manifest) -> set[tuple[str, int]]:
    """Drop the lines of RUN/digests that speak of a shard as it was before the run grew; the shards, (case, shard),
    that are still short."""
    short = set()
    for case in manifest.cases:
        still = short_shards(files, manifest, case)
        short |= {(case.key, shard) for shard in still}
        for shard in manifest.growing(case):
            number = shard // DIGEST_BATCH
            batch = read_batch(files, case.key, number)
            if shard not in batch or not is_committed(files, case.key, shard):
                continue
            there = parquet.footer(files, layout.part("blocks", case.key, shard)).keys
            if shard in still or batch[shard]["trajectories"] != there.get("sha256.trajectories"):
                del batch[shard]
                path = layout.digests(case.key, number)
                files.put(path, batch_text(case.key, batch).encode()) if batch else files.delete(path)
    return short


def resume_or_grow(files: Files, there: Manifest, here: Manifest, text: str, rows_given: bool) -> Growth | None:
    """What the run of `there` is to become for the experiment `here`, whose text this is; None where it is the same
    experiment. Raises RunError that names what cannot be added."""
    text_there = experiment_text(files)
    stage = stage_of_text(there, text_there)
    if stage is None or text == text_there:  # `refuse_if_different` says what is wrong, if anything is
        return None
    if stage < there.stage and here.digest == there.digest:
        complete(files, there, text)
        return None
    grown = growth(files, there, here)
    changes = cannot_grow(there, text_there, here, text, rows_given, files.uri)
    if not changes and grown is None:
        return None
    if changes or grown is None:
        raise refusal(changes, files.uri)
    return grown
