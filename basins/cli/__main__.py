"""`python -m basins.cli`: the command `basins`, where its script is not on the path."""

from basins.cli import main

main()
