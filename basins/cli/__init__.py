"""The command line: it parses arguments, refuses bad ones and calls the library; output/console/ has what it prints.

common.py has what the commands share. The commands are in the other files, grouped by subject.
"""

from basins.cli import checks, codim, comparing, examples, figures, help, init, jobs, migration, runs, tail
from basins.cli.common import INTERRUPTED, line, main, refusing

__all__ = ["INTERRUPTED", "line", "main", "refusing"]
