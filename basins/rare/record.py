"""The files of a tail: its manifest, and the splitting levels of each replicate. They are stored by store/files.py.

    RUN/experiment.toml  RUN/tail.json                                 fixed at creation, tail.json last
    RUN/moves/case=KEY/replicate=R/level-0001.parquet                  a row per kind of move: proposed, accepted, size
    RUN/populations/case=KEY/replicate=R/level-0001.parquet            a row per chain: z, parent, ancestor, moves taken
    RUN/levels/case=KEY/replicate=R/level-0001.parquet                 one row, written last: its presence is the commit

A splitting level is the unit of work: a replicate that was killed resumes after its last committed level, and writes
the same bytes. Replicate 0 is the pilot. z are the law's normal coordinates (whitening.py), from which chains can be
resumed.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from basins.errors import RunError
from basins.experiment import Case, Experiment
from basins.rare.replicates import Plan, SplittingLevel
from basins.rare.splitting_step import FIRST_SIZE, MOVES, LevelResult, Population, Tried
from basins.store import Files, layout, parquet
from basins.store.kept_data import foreign_paths, put_data, refuse_wrong_data
from basins.store.manifest import canonical_json
from basins.versions import versions

SCHEMA = 4
EXPERIMENT, TAIL = "experiment.toml", "tail.json"
Kind = Literal["moves", "populations", "levels"]
COMMIT_ORDER: tuple[Kind, ...] = ("moves", "populations", "levels")

LEVELS = pa.schema(
    [
        ("level", pa.int32()),
        ("threshold", pa.float64()),
        ("p", pa.float64()),
        ("spread", pa.float64()),
        ("autocorrelation", pa.float64()),
        ("log_P", pa.float64()),
        ("ancestors", pa.int32()),
        ("undecided", pa.int64()),
        ("trajectories", pa.int64()),
        ("evaluations", pa.int64()),
        ("tighter", pa.float64()),
        ("rounded", pa.float64()),
        ("ending", pa.string()),
    ]
)
MOVE_ROWS = pa.schema(
    [("move", pa.string()), ("proposed", pa.int64()), ("accepted", pa.int64()), ("size", pa.float64())]
)
LEVELS_OF = re.compile(r"levels/case=\w+/replicate=(\d+)/level-\d+\.parquet$")
"""The path of a committed level, and its replicate."""

OTHER_OUT = "give another --out, or the arguments that made this run"


def populations_schema(n: int) -> pa.Schema:
    """The schema of a population: a row per chain; z has n numbers."""
    return pa.schema(
        [
            ("parent", pa.int32()),
            ("ancestor", pa.int32()),
            ("moved", pa.int32()),
            ("z", pa.list_(pa.float64(), n)),
        ]
    )


def path(kind: Kind, case: str, replicate: int, level: int) -> str:
    return f"{folder(kind, case, replicate)}level-{level:04d}.parquet"


def folder(kind: Kind, case: str, replicate: int) -> str:
    return f"{kind}/case={case}/replicate={replicate:04d}/"


# --- the manifest ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TailManifest:
    """The definition of a tail: the experiment's name and digest, the plan, its cases, the versions it was made with.

    linearised: the share of moves of a kind that was removed (docs/tail.md); 0 in all new tails. A tail made with such
    moves can be read and reported, but not continued.
    """

    name: str
    digest: str
    plan: Plan
    cases: tuple[Case, ...]
    versions: tuple[tuple[str, str], ...]
    linearised: float = 0.0

    @classmethod
    def of(cls, experiment: Experiment, cases: tuple[Case, ...], plan: Plan) -> TailManifest:
        return cls(experiment.name, experiment.digest, plan, cases, versions())

    def case(self, key: str) -> Case:
        return next(case for case in self.cases if case.key == key)

    def identity(self) -> dict[str, Any]:
        """The values, by name, that two drivers of one tail must agree on."""
        return {
            "experiment": self.digest,
            "cases": [case.key for case in self.cases],
            **asdict(self.plan),
            **dict(self.versions),
        }

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "schema": SCHEMA,
                "experiment": {"name": self.name, "digest": self.digest},
                "plan": asdict(self.plan),
                "versions": dict(self.versions),
                "cases": [case.to_dict() for case in self.cases],
            }
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> TailManifest:
        """The manifest that `to_json` wrote. Raises RunError for anything else."""
        try:
            content = json.loads(data)
            if content["schema"] != SCHEMA:
                raise RunError(
                    f"a tail of schema version {content['schema']}, this basins reads {SCHEMA}",
                    where=where,
                    remedy="give another --out, and run `basins tail` again",
                )
            linearised = content["plan"].pop("linearised", 0.0)
            return cls(
                content["experiment"]["name"],
                content["experiment"]["digest"],
                Plan(**content["plan"]),
                tuple(Case.from_dict(case) for case in content["cases"]),
                tuple(sorted(content["versions"].items())),
                float(linearised),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{TAIL} is damaged ({error!r})", where=where, remedy="put back a copy of it") from error


def create_or_resume(files: Files, experiment: Experiment, wanted: TailManifest) -> TailManifest:
    """The manifest of this tail. It is written if there is none, and compared if there is one.

    Raises RunError if the place holds something else, or a tail of another experiment, plan or versions, or one made
    with moves that were removed.
    """
    if not files.exists(TAIL):
        foreign = foreign_paths(files, experiment, (EXPERIMENT, TAIL))
        if foreign:
            raise RunError(
                f"not empty and not a tail's run ({foreign[0]} is there, {TAIL} is not)",
                where=files.uri,
                remedy="give an empty or a new folder",
            )
        put_data(files, experiment)
        files.put(EXPERIMENT, experiment.text.encode())
        files.put(TAIL, wanted.to_json())
    there = read_manifest(files)
    if there.linearised:
        raise RunError(
            f"made with linearised = {there.linearised:g}, moves that were removed: it can be read, but not continued",
            where=files.uri,
            remedy="give another --out; basins.rare.tail.read_tail reports this one",
        )
    old, new = there.identity(), wanted.identity()
    changed = [f"{name} = {old.get(name)} there, {new.get(name)} here" for name in new if old.get(name) != new[name]]
    if changed:
        raise RunError(f"a run of another tail: {'; '.join(changed)}", where=files.uri, remedy=OTHER_OUT)
    refuse_wrong_data(files, experiment.text)
    return there


def is_tail(files: Files) -> bool:
    """Whether there is a tail in these files."""
    return files.exists(TAIL)


def read_manifest(files: Files) -> TailManifest:
    """The manifest of an existing tail. Raises RunError if there is none or it is damaged."""
    try:
        return TailManifest.from_json(files.get(TAIL), files.uri)
    except FileNotFoundError:
        raise RunError(
            f"not a tail's run: no {TAIL}", where=files.uri, remedy="give the folder that `basins tail` wrote"
        ) from None


# --- the splitting levels of a replicate ----------------------------------------------------------------------------


def commit(files: Files, case: str, replicate: int, population: Population, level: SplittingLevel) -> None:
    """Write the three files of a splitting level, the commit mark last."""
    keys = {"schema": str(SCHEMA), "case": case, "replicate": str(replicate), "level": str(level.number)}
    n = population.z.shape[1]
    tables: dict[Kind, pa.Table] = {
        "moves": pa.Table.from_pylist(
            [{"move": name, **asdict(tried)} for name, tried in level.result.moves.items()], schema=MOVE_ROWS
        ),
        "populations": pa.table(
            [
                pa.array(population.parent, pa.int32()),
                pa.array(population.ancestor, pa.int32()),
                pa.array(population.moved, pa.int32()),
                pa.FixedSizeListArray.from_arrays(pa.array(population.z.ravel()), n),
            ],
            schema=populations_schema(n),
        ),
        "levels": pa.Table.from_pylist([_row(level)], schema=LEVELS),
    }
    for kind in COMMIT_ORDER:
        files.put(path(kind, case, replicate, level.number), parquet.encode(tables[kind], keys))


def _row(level: SplittingLevel) -> dict[str, Any]:
    result = level.result
    return {
        "level": level.number,
        "threshold": level.threshold,
        "p": result.p,
        "spread": result.spread,
        "autocorrelation": result.autocorrelation,
        "log_P": level.log_P,
        "ancestors": level.ancestors,
        "undecided": result.undecided,
        "trajectories": result.trajectories,
        "evaluations": result.evaluations,
        "tighter": level.tighter,
        "rounded": level.rounded,
        "ending": level.ending,
    }


def read_levels(files: Files, case: str, replicate: int) -> list[SplittingLevel]:
    """The committed splitting levels of a replicate, from the first, without a gap."""
    found = [name for name in files.paths(folder("levels", case, replicate)) if not layout.foreign(name)]
    levels = []
    for number, name in enumerate(found, start=1):
        if name != path("levels", case, replicate, number):
            raise RunError(
                f"{path('levels', case, replicate, number)} is gone, although later levels exist",
                where=files.uri,
                remedy=f"remove {folder('levels', case, replicate)} and run again",
            )
        row = parquet.read(files, name).to_pylist()[0]
        moves = {
            one["move"]: Tried(one["proposed"], one["accepted"], one["size"])
            for one in parquet.read(files, path("moves", case, replicate, number)).to_pylist()
        }
        came = ("p", "spread", "autocorrelation", "undecided", "trajectories", "evaluations")
        result = LevelResult(**{name: row[name] for name in came}, moves=moves)
        levels.append(
            SplittingLevel(
                row["level"], row["threshold"], row["log_P"], result, row["ancestors"], row["tighter"], row["rounded"],
                row["ending"],
            )
        )  # fmt: skip
    return levels


def read_population(files: Files, case: str, replicate: int, level: SplittingLevel) -> Population:
    """The population of a committed level."""
    table = parquet.read(files, path("populations", case, replicate, level.number))
    z = table["z"].combine_chunks()
    columns = {name: table[name].to_numpy().astype(np.int64) for name in ("parent", "ancestor", "moved")}
    sizes = dict.fromkeys(MOVES, FIRST_SIZE) | {name: tried.size for name, tried in level.result.moves.items()}
    return Population(np.array(z.flatten()).reshape(len(table), -1), **columns, sizes=sizes)
