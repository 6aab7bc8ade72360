"""A folder inside a run that is laid out like a run itself, such as a layer."""

from __future__ import annotations

from typing import Any

from basins.store.files import Files


class Folder:
    """The part of other `Files` under `prefix` (with its "/"). It keeps the promises that those files keep."""

    def __init__(self, files: Files, prefix: str) -> None:
        self.files, self.prefix = files, prefix

    @property
    def uri(self) -> str:
        return f"{self.files.uri}/{self.prefix.rstrip('/')}"

    def put(self, path: str, data: Any) -> None:
        self.files.put(self.prefix + path, data)

    def get(self, path: str) -> bytes:
        return self.files.get(self.prefix + path)

    def open(self, path: str) -> Any:
        return self.files.open(self.prefix + path)

    def exists(self, path: str) -> bool:
        return self.files.exists(self.prefix + path)

    def paths(self, prefix: str) -> list[str]:
        return [path.removeprefix(self.prefix) for path in self.files.paths(self.prefix + prefix)]

    def delete(self, path: str) -> None:
        self.files.delete(self.prefix + path)

    def sweep(self) -> list[str]:
        """Nothing: debris is swept for the whole run at once."""
        return []
