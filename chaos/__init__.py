"""Faults on purpose: a run is disturbed at seeded random times, resumed by the same command, and must end with the
bytes of an undisturbed one. `python -m chaos --faults 100`, or `make chaos`; docs/chaos.md says what is promised.

`__main__.py` deals the faults out to episodes; `episode.py` plays one: a run, its drivers, the faults; `faults.py` are
the kinds, `judge.py` says what each one hit; `journal.py` reads what the witness in every process (`probe/`) wrote;
`cluster.py`, `places.py` and `proxy.py` are what is broken: a Ray cluster, stores, the way to a store.
"""
