"""An experiment as a job of a Ray cluster: submit.py sends it, dashboard.py speaks to the cluster's job API, and
`python -m basins.job` (entry.py) is what runs there."""
