"""Execution: shards of work, the runners that compute them, and recovery when a worker dies. Start at base.py."""
