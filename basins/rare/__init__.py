"""Past 3/N: bounds on the saddle measure by rare-event simulation of T, the time at which the loss-level certificate
holds. levels.py says what T is and how it is told; replicates.py is one run of multilevel splitting, tail.py the whole.
"""
