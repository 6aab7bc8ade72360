"""An experiment as a job of a Ray cluster: submit.py submits it, dashboard.py is the client of the cluster's job API,
and `python -m basins.job` (entry.py) runs on the cluster."""
