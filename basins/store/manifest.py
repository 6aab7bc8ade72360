"""The manifest: the definition of a run, fixed at creation. Canonical, byte-stable JSON without clock, path or host.

Workers read the problem's numbers from it, so no decomposition is done twice. Resuming a run compares it with the
manifest, and is refused if the experiment, the plan or the versions that the bytes depend on have changed.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

from basins.errors import RunError
from basins.experiment import Case, Experiment, Plan
from basins.experiment.document import Rows
from basins.laws import BLOCK
from basins.store import layout, schemas
from basins.store.stages import Stage
from basins.versions import skew, versions

OTHER_OUT = "give another --out, or run the experiment that made this run"


@dataclass(frozen=True)
class Manifest:
    """What a run is: the experiment's name, seed and digest, its cases, its shard plan, and the versions it was
    created with. stages: the earlier ones of a run that has grown.
    """

    name: str
    seed: int
    digest: str
    blocks_per_shard: int
    visits_every: int
    rows: Rows
    cases: tuple[Case, ...]
    versions: tuple[tuple[str, str], ...]
    schema: int = schemas.VERSION
    stages: tuple[Stage, ...] = ()

    @classmethod
    def of(cls, experiment: Experiment) -> Manifest:
        """The manifest of a run created here and now. Raises ArgumentError if blocks_per_shard is not decided yet."""
        blocks_per_shard = experiment.plan(experiment.cases[0]).blocks_per_shard
        return cls(
            name=experiment.name,
            seed=experiment.seed,
            digest=experiment.digest,
            blocks_per_shard=blocks_per_shard,
            visits_every=experiment.visits_every,
            rows=experiment.rows,
            cases=tuple(experiment.cases),
            versions=versions(),
        )

    # --- JSON -----------------------------------------------------------------------------------------------------

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "schema": self.schema,
                "experiment": {"name": self.name, "seed": self.seed, "digest": self.digest},
                "plan": {
                    "block": BLOCK,
                    "blocks_per_shard": self.blocks_per_shard,
                    "visits_every": self.visits_every,
                    "rows": self.rows,
                },
                "versions": dict(self.versions),
                "cases": [
                    {**case.to_dict(), "blocks": self.plan(case).blocks, "shards": self.plan(case).shards}
                    for case in self.cases
                ],
                **({"grown": [stage.to_dict() for stage in self.stages]} if self.stages else {}),
            }
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """The manifest that `to_json` wrote. Raises RunError if it is damaged or has an unknown schema version."""
        try:
            content = json.loads(data)
            schema = content["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(where, error) from error
        if schema not in schemas.READABLE:
            known = " and ".join(map(str, schemas.READABLE))
            raise RunError(
                f"a run of schema version {schema}; this basins reads versions {known}",
                where=where,
                remedy="use the basins that made it (its version is in manifest.json)",
            )
        try:
            experiment, plan = content["experiment"], content["plan"]
            manifest = cls(
                name=experiment["name"],
                seed=experiment["seed"],
                digest=experiment["digest"],
                blocks_per_shard=plan["blocks_per_shard"],
                visits_every=plan["visits_every"],
                rows=plan["rows"],
                cases=tuple(Case.from_dict(case) for case in content["cases"]),
                versions=tuple(sorted(content["versions"].items())),
                schema=schema,
                stages=tuple(map(Stage.from_dict, content.get("grown", ()))),
            )
            for stage in manifest.stages:
                for case in stage.cases:
                    if not 0 < case.trajectories <= manifest.case(case.key).trajectories:
                        raise ValueError(f"case {case.key} had {case.trajectories} trajectories")
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(where, error) from error

    # --- the plan -------------------------------------------------------------------------------------------------

    @cached_property
    def _by_key(self) -> dict[str, Case]:
        return {case.key: case for case in self.cases}

    def case(self, key: str) -> Case:
        """The case of this key. Raises KeyError."""
        return self._by_key[key]

    def plan(self, case: Case) -> Plan:
        """The division of the case into shards."""
        return Plan(case.trajectories, self.blocks_per_shard)

    def shards(self, case: Case) -> range:
        """The shards of a case."""
        return range(self.plan(case).shards)

    def expected(self, case: Case, shard: int, length: int | None = None) -> dict[layout.Kind, int]:
        """How many rows a shard's files have, as far as it is known beforehand. length: ids, those of the plan unless
        it is given."""
        length = len(self.ids(case, shard)) if length is None else length
        found: dict[layout.Kind, int] = {"blocks": -(-length // BLOCK)}
        if self.rows == "all":
            found["trajectories"] = length
        return found

    def ids(self, case: Case, shard: int) -> range:
        """The ids of a shard."""
        plan = self.plan(case)
        return plan.ids(plan.shard(shard))

    def footer(self, case: Case, shard: int, length: int | None = None) -> dict[str, str]:
        """The key-values that each of a shard's files carries: what its rows depend on, and nothing else. length: ids,
        those of the plan unless it is given.

        So a shard is the same file in every run that has these ids of this case, however many ids or cases follow.
        """
        ids = self.ids(case, shard)
        length = len(ids) if length is None else length
        of_ids = {"case": case.key, "first_id": str(ids.start), "trajectories": str(length)}
        if self.schema == 1:
            return {"schema": "1", "experiment": self.digest, **of_ids}
        return {
            "schema": str(self.schema),
            "case": case.key,
            "seed": str(self.seed),
            "law": json.dumps(case.law.canonical(case.landscape), sort_keys=True, separators=(",", ":")),
            "first_id": str(ids.start),
            "trajectories": str(length),
            "visits_every": str(self.visits_every),
            "kept": self.rows,
        }

    # --- growth ---------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> int:
        """The number of the present stage: 1 of a run that has never grown."""
        return len(self.stages) + 1

    def growing(self, case: Case) -> tuple[int, ...]:
        """The shards in which an earlier stage ended before the shard did: their files may still be short."""
        return tuple(sorted({shard for shard, _ in self._short_ends.get(case.key, ())}))

    def lengths(self, case: Case, shard: int) -> tuple[int, ...]:
        """The numbers of ids that a shard's files may have: the plan's, then those of earlier stages, falling."""
        earlier = {length for number, length in self._short_ends.get(case.key, ()) if number == shard}
        return (len(self.ids(case, shard)), *sorted(earlier, reverse=True))

    @cached_property
    def _short_ends(self) -> dict[str, list[tuple[int, int]]]:
        """By case, the shard in which each earlier stage ended, and how many ids it had, where it has more now."""
        found: dict[str, list[tuple[int, int]]] = {}
        for stage in self.stages:
            for one in stage.cases:
                shard, length = divmod(one.trajectories, BLOCK * self.blocks_per_shard)
                if length and length < len(self.ids(self.case(one.key), shard)):
                    found.setdefault(one.key, []).append((shard, length))
        return found

    def as_of(self, stage: int) -> Manifest:
        """The manifest as it was in a stage, from 1."""
        return self if stage == self.stage else self._earlier[stage]

    @cached_property
    def _earlier(self) -> dict[int, Manifest]:
        return {
            number: replace(
                self,
                digest=of.digest,
                cases=tuple(
                    self.case(one.key).changed(name=one.name, trajectories=one.trajectories) for one in of.cases
                ),
                stages=self.stages[: number - 1],
            )
            for number, of in enumerate(self.stages, start=1)
        }

    def digests(self) -> dict[str, int]:
        """The stage of each digest of an experiment that this run has been run with."""
        return {**{one.digest: k for k, one in enumerate(self.stages, start=1)}, self.digest: self.stage}


# --- what differs ------------------------------------------------------------------


Change = tuple[str, Any, Any]
"""A name, its value in the run that is there, and its value in what is asked for here."""


def refuse_skew(there: Manifest, here: Manifest, where: str) -> None:
    """Raises RunError where the run was made with other versions than are here."""
    skewed = skew(dict(there.versions), dict(here.versions))
    if skewed:
        raise RunError(
            f"made with other versions, whose bytes may differ: {skewed}",
            where=where,
            remedy="install the run's versions, or give another --out",
        )


def refuse_if_different(there: Manifest, text_there: str, here: Manifest, text_here: str, where: str) -> None:
    """Raises RunError naming what differs between the run that is there and the one that is asked for here.

    The problem's numbers are not compared: they may differ in the last bit between CPUs, and the run's own are used.
    """
    if text_there != text_here:
        try:
            old = dict(leaves_of(tomllib.loads(text_there)))
        except tomllib.TOMLDecodeError as error:
            what = f"{layout.EXPERIMENT} is damaged: {error}"
            raise RunError(what, where=where, remedy="restore it, or give another --out") from None
        new = dict(leaves_of(tomllib.loads(text_here)))
        changes = changes_between(old, new)
        if not changes:  # comments, blanks, the order of keys
            what = f"{layout.EXPERIMENT} has been edited: {_first_difference(text_there, text_here)}"
            raise RunError(what, where=where, remedy="put back a copy of it as it was written, or give another --out")
        raise RunError(f"a run of another experiment: {changes_said(changes)}", where=where, remedy=OTHER_OUT)
    if there.digest != here.digest:  # the same words about other numbers
        keys = {case.key for case in there.cases}
        names = ", ".join(repr(case.name) for case in here.cases if case.key not in keys)
        edited = f"{layout.MANIFEST} has been edited: its digest is {there.digest} there, {here.digest} here"
        what = f"the data of case {names} has changed" if names else edited
        raise RunError(f"a run of another experiment: {what}", where=where, remedy=OTHER_OUT)
    changed = [
        (name, getattr(there, name), getattr(here, name))
        for name in ("seed", "blocks_per_shard", "visits_every", "rows")
        if getattr(there, name) != getattr(here, name)
    ]
    old_keys, new_keys = (", ".join(case.key for case in one.cases) for one in (there, here))
    if old_keys != new_keys:
        changed.append(("cases", old_keys or "none", new_keys))
    if changed:
        what = f"{layout.MANIFEST} has been edited: {changes_said(changed)}"
        raise RunError(what, where=where, remedy=OTHER_OUT)


def refuse_read_only(manifest: Manifest, where: str) -> None:
    """Raises RunError for a run of an older schema, which can be read but not added to."""
    if manifest.schema != schemas.VERSION:
        raise RunError(
            f"a run of schema version {manifest.schema}, which is read-only",
            where=where,
            remedy=f"write it again in version {schemas.VERSION}: basins migrate {where} --out NEW",
        )


def refuse_other_versions(manifest: Manifest, where: str) -> None:
    """Raises RunError in a worker whose package versions are not the run's: it would write different bytes."""
    skewed = skew(dict(manifest.versions))
    if skewed:
        raise RunError(
            f"a worker has other versions than the run: {skewed}",
            where=where,
            remedy="install the run's versions on every worker",
        )


def changes_said(changed: list[Change]) -> str:
    """Changes in words, the first five; one without values is its name."""
    said = [name if old is new is None else f"{name} = {old} there, {new} here" for name, old, new in changed[:5]]
    return "; ".join(said + [f"and {len(changed) - 5} more"] * (len(changed) > 5))


def _first_difference(there: str, here: str) -> str:
    """A description of the first line in which two different texts differ."""
    pairs = zip_longest(there.splitlines(keepends=True), here.splitlines(keepends=True), fillvalue="")
    number, a, b = next((k, a, b) for k, (a, b) in enumerate(pairs, start=1) if a != b)
    return f"line {number} is {a[:80]!r} there, {b[:80]!r} here"


def changes_between(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """What differs between two documents, each as `leaves_of` has it."""
    keys = [*old, *(key for key in new if key not in old)]
    return [
        (key, old.get(key, "nothing"), new.get(key, "nothing"))
        for key in keys
        if old.get(key, "nothing") != new.get(key, "nothing")
    ]


def leaves_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a TOML document under dotted names; a table of a list goes by its own name where it has one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves_of(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        for position, inner in enumerate(value):
            yield from leaves_of(inner, f"{name}[{inner.get('name', position)}]")
    else:
        yield name, json.dumps(value, default=str)


def _damaged(where: str, error: Exception) -> RunError:
    return RunError(
        f"{layout.MANIFEST} is damaged ({error!r})",
        where=where,
        remedy="put back a copy of it, or run the experiment into another --out",
    )


# --- canonical JSON ------------------------------------------------------------------


def canonical_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, one line per key, numbers of a list on one line, floats as repr, no inf or nan.

    Raises ValueError for inf and nan.
    """
    return (_json(value, "") + "\n").encode()


def _json(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        entries = [f"{deeper}{json.dumps(key)}: {_json(value[key], deeper)}" for key in sorted(value)]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        return "[\n" + ",\n".join(f"{deeper}{_json(inner, deeper)}" for inner in value) + f"\n{indent}]"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
