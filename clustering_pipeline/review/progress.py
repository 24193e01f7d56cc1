"""Which clusters somebody has looked at."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, delete, insert, select

from clustering_pipeline.outputs.report import Cluster
from clustering_pipeline.storage import Database

_TABLES = MetaData()
_ROWS = Table(
    "looked_at",
    _TABLES,
    *(Column(name, Text, primary_key=True) for name in ("category", "content")),
    Column("cluster_id", BigInteger),
    *(Column(name, Text, nullable=False) for name in ("author", "time")),
)


class ReviewProgress:
    """Remembers looked-at clusters by their content: a cluster that gains or loses a listing is to
    be looked at again.
    """

    def __init__(self, place: Path | str) -> None:
        """`place`: a SQLite file, created when missing, or an URL as for the corrections."""
        self._database = Database(place, _TABLES, "record of what was looked at")

    def mark(self, category: str, cluster: Cluster, *, author: str) -> None:
        """Record that a person has looked at a cluster."""
        seen = {"category": category, "content": content_of(cluster)}
        time = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.writing() as connection:
            connection.execute(delete(_ROWS).filter_by(**seen))
            connection.execute(
                insert(_ROWS),
                {**seen, "cluster_id": cluster.cluster_id, "author": author, "time": time},
            )

    def clear(self, category: str, cluster: Cluster) -> None:
        """Forget that somebody has looked at a cluster."""
        with self._database.writing() as connection:
            connection.execute(
                delete(_ROWS).filter_by(category=category, content=content_of(cluster))
            )

    def looked_at(self, category: str, clusters: Sequence[Cluster]) -> set[int]:
        """Return the numbers of those clusters that somebody has looked at as they are now."""
        with self._database.reading() as connection:
            known = set(
                connection.execute(
                    select(_ROWS.c.content).where(_ROWS.c.category == category)
                ).scalars()
            )
        return {cluster.cluster_id for cluster in clusters if content_of(cluster) in known}


def content_of(cluster: Cluster) -> str:
    """Return the hash of what a cluster consists of: its listings' ids and pictures."""
    members = sorted(
        f"{listing.product_base_id}\0{listing.image_sha256}" for listing in cluster.listings
    )
    return hashlib.sha256("\n".join(members).encode()).hexdigest()
