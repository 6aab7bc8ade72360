"""Bounds on the saddle measure below 3/N, by rare-event simulation of T, the time of the loss-level certificate.

certification_time.py computes T; replicates.py is one replicate of multilevel splitting; tail.py runs a whole tail.
"""
