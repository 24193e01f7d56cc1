"""Which clusters somebody has looked at."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from clustering_pipeline.report import Cluster
from clustering_pipeline.review.database import transaction

_TABLE = """
CREATE TABLE IF NOT EXISTS looked_at (
    category TEXT NOT NULL, content TEXT NOT NULL, cluster_id INTEGER, author TEXT NOT NULL, time TEXT NOT NULL,
    PRIMARY KEY (category, content));
"""


class ReviewProgress:
    """Remembers looked-at clusters by their content: a cluster that gains or loses a listing is to be looked at again."""

    def __init__(self, path: Path) -> None:
        """`path`: the SQLite file, created when missing."""
        self.path = path

    def mark(self, category: str, cluster: Cluster, *, author: str) -> None:
        """Record that a person has looked at a cluster."""
        row = (category, content_of(cluster), cluster.cluster_id, author, datetime.now(UTC).isoformat(timespec="seconds"))
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO looked_at VALUES (?, ?, ?, ?, ?)", row)

    def clear(self, category: str, cluster: Cluster) -> None:
        """Forget that somebody has looked at a cluster."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM looked_at WHERE category = ? AND content = ?", (category, content_of(cluster)))

    def looked_at(self, category: str, clusters: Sequence[Cluster]) -> set[int]:
        """Return the numbers of those clusters that somebody has looked at as they are now."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT content FROM looked_at WHERE category = ?", (category,)).fetchall()
        known = {content for (content,) in rows}
        return {cluster.cluster_id for cluster in clusters if content_of(cluster) in known}

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self.path, _TABLE, "record of what was looked at")


def content_of(cluster: Cluster) -> str:
    """Return the hash of what a cluster consists of: its listings' ids and pictures."""
    members = sorted(f"{listing.product_base_id}\0{listing.image_sha256}" for listing in cluster.listings)
    return hashlib.sha256("\n".join(members).encode()).hexdigest()
