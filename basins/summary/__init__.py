"""Summaries of a run. case.py reads each case in one pass over its shards; survival, tails and transitions use the
result."""

from basins.summary.case import CaseSummary, summaries, summarise

__all__ = ["CaseSummary", "summaries", "summarise"]
