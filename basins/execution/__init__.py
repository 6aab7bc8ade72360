"""Runs carried out: a shard of work, who does it, and what is done when a worker dies. Start at base.py."""
