"""The run on disk: layout, schemas, atomic commit, manifest, resumption. Start at layout.py."""

from basins.store.commit import check_shards, commit_shard, missing_shards, read_manifest
from basins.store.committed import committed_digests, is_committed
from basins.store.creation import create_or_resume
from basins.store.files import Files, files_at
from basins.store.layout import Kind
from basins.store.manifest import Manifest, refuse_other_versions
from basins.store.rows import ShardTables

__all__ = [
    "Files",
    "Kind",
    "Manifest",
    "ShardTables",
    "check_shards",
    "commit_shard",
    "committed_digests",
    "create_or_resume",
    "files_at",
    "is_committed",
    "missing_shards",
    "read_manifest",
    "refuse_other_versions",
]
