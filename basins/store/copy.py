"""A run copied to another place."""

from __future__ import annotations

from basins.errors import RunError
from basins.store import layout
from basins.store.files import Files


def copy_run(files: Files, to: Files) -> None:
    """Copy every file of a run, the manifest last, so that a copy which was interrupted is no run and is gone on with.

    Raises RunError for a place that holds a run already, or anything else.
    """
    if to.uri == files.uri or to.uri.startswith(f"{files.uri}/"):
        raise RunError("the run itself", where=to.uri, remedy="give another folder")
    paths = files.paths("")
    there = [path for path in to.paths("") if not layout.is_system_file(path)]
    if layout.MANIFEST in there:
        raise RunError("there is a run already", where=to.uri, remedy="give an empty or a new folder")
    for path in there:
        if path not in paths or to.get(path) != files.get(path):
            raise RunError(f"not empty ({path} is there)", where=to.uri, remedy="give an empty or a new folder")
    for path in sorted(set(paths) - set(there), key=lambda path: (path == layout.MANIFEST, path)):
        to.put(path, files.get(path))
