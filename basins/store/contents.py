"""What a folder of shards is to hold: a run's base, as its manifest plans it, or one of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from basins.experiment import Case
from basins.store.layout import Kind


class Contents(Protocol):
    """Which shards there are to be, and what their files say of themselves."""

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
        """How many rows a shard's files have, as far as it is known beforehand."""
        ...
