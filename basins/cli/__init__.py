"""The command line: listen, refuse, parse. What it does is elsewhere; what it prints is in pages/.

door.py has what every command shares; the commands are in the files beside it, by what they are about.
"""

from basins.cli import checks, codim, figures, jobs, migration, runs, tail
from basins.cli.common import INTERRUPTED, line, main, refusing

__all__ = ["INTERRUPTED", "line", "main", "refusing"]
