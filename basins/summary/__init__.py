"""What a run says as a whole: each case in one pass over its shards (case.py), and what is read off that: survival,
tails, transitions."""

from basins.summary.case import CaseSummary, summaries, summarise

__all__ = ["CaseSummary", "summaries", "summarise"]
