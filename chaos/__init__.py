"""Fault injection: a run is disturbed at seeded random times, resumed by the same command, and must end with the bytes
of an undisturbed run. Start it with `python -m chaos --faults 100` or `make chaos`; docs/chaos.md states what is
promised.

`__main__.py` distributes the faults over episodes; `episode.py` executes one: a run, its drivers, the faults.
`faults.py` has the kinds of faults, and `judge.py` determines what each one hit, from what the probe in every process
(`probe/`) wrote, which `journal.py` reads. `cluster.py`, `places.py` and tests/store/proxy.py are what is broken: a Ray
cluster, stores, and the connection to a store.
"""
