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

    def footer(self, case: Case, shard: int) -> dict[str, str]:
        """The key-values that each of a shard's files carries."""
        ...

    def expected(self, case: Case, shard: int) -> dict[Kind, int]:
        """The number of rows in each of a shard's files, where it is known in advance."""
        ...
