"""The planned contents of a folder of shards: a run's base, as its manifest plans it, or one of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from basins.experiment import Case
from basins.store.layout import Kind


class Contents(Protocol):
    """Which shards a folder should have, and the footers of their files."""

    @property
    def cases(self) -> tuple[Case, ...]: ...

    def case(self, key: str) -> Case:
        """The case of this key. Raises KeyError."""
        ...

    def shards(self, case: Case) -> Sequence[int]:
        """The shards of a case, ascending."""
        ...

    def growing(self, case: Case) -> tuple[int, ...]:
        """The shards that are to be replaced where their files have fewer ids than they may have, ascending."""
        ...

    def lengths(self, case: Case, shard: int) -> tuple[int, ...]:
        """The numbers of ids that a shard's files may have: the plan's, then those of earlier stages, falling."""
        ...

    def footer(self, case: Case, shard: int, length: int | None = None) -> dict[str, str]:
        """The key-values that each of a shard's files carries. length: ids, the plan's unless it is given."""
        ...

    def expected(self, case: Case, shard: int, length: int | None = None) -> dict[Kind, int]:
        """How many rows a shard's files have, as far as it is known beforehand."""
        ...
