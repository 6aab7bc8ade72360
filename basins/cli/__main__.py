"""`python -m basins.cli`: the command `basins` where its script is not on the PATH."""

from basins.cli import main

main()
