"""`python -m basins.job`: the entry point of a job on a cluster."""

from basins.job.entry import main

main()
