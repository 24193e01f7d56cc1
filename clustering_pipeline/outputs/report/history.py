"""What changed since the last different result of a category."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clustering_pipeline.outputs.report.listings import Listing
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import Place, layout, open_tables

# Where each listing is: its cluster, -1 without one. A listing is named by its id and how many with
# that id came before it.
Placement = Mapping[str, int]
KEPT = 60
_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, content TEXT NOT NULL,
    time TEXT NOT NULL, placement TEXT NOT NULL);
"""
_UNUSABLE = (
    "The history of results in {path} cannot be used ({error}). Remove the file: it holds nothing "
    "but what the report compares with."
)


@dataclass(frozen=True)
class Changes:
    """What is different from the result of `since` (ISO date): counts of listings and numbers of
    clusters.
    """

    since: str
    new_listings: int
    gone_listings: int
    moved_listings: int
    new_clusters: tuple[int, ...]
    gone_clusters: tuple[int, ...]
    # Pairs of cluster numbers: (new, the one that it split off) and (gone, the one that it was
    # merged into).
    splits: tuple[tuple[int, int], ...] = ()
    merges: tuple[tuple[int, int], ...] = ()


class ResultHistory:
    """The last results of every category in one SQLite file, or in a database that machines share;
    a result equal to the newest one is not kept again.
    """

    def __init__(self, place: Place) -> None:
        """`place`: the file, created when missing, or what machines share."""
        self._place = place
        self._database = open_tables(
            place, _TABLE, _UNUSABLE, "history of results", is_replaceable=True
        )
        # Where all tables are in one schema, `results` are those of the register.
        self._table = "results" if isinstance(place, Path) else layout.REPORTED_RESULTS

    def changes(self, category: str, listings: list[Listing]) -> Changes | None:
        """Keep a result and return what changed since the last different one; None for a category's
        first result.
        """
        placement = placement_of(listings)
        text = json.dumps(placement, sort_keys=True)
        content = hashlib.sha256(text.encode()).hexdigest()
        with self._database.writing(category) as connection:
            rows = connection.execute(
                f"SELECT content, time, placement FROM {self._table} WHERE category = ? ORDER BY "
                "number DESC LIMIT 2",
                (category,),
            ).fetchall()
            if not rows or rows[0][0] != content:
                self._keep(connection, category, content, text)
            before = next((row for row in rows if row[0] != content), None)
        if before is None:
            return None
        day = datetime.fromisoformat(before[1]).astimezone().date().isoformat()
        changes = compare(json.loads(before[2]), placement, day)
        return replace(
            changes,
            splits=self._events(category, "split", before[1], changes.new_clusters),
            merges=self._events(category, "merge", before[1], changes.gone_clusters),
        )

    def _events(
        self, category: str, kind: str, since: str, numbers: Collection[int]
    ) -> tuple[tuple[int, int], ...]:
        """Return what happened to clusters of these numbers, each once, the last if it happened
        several times: several runs may part and join the same ones.
        """
        place = self._place
        if isinstance(place, Path):
            place = place.with_name(layout.CLUSTER_NUMBERS)
        events = NumberRegister(place).events(category)
        chosen = events[(events["kind"] == kind) & (events["time"] > since)]
        last = dict(zip(chosen["number"].astype(int), chosen["other"].astype(int), strict=True))
        return tuple((number, last[number]) for number in sorted(last.keys() & set(numbers)))

    def _keep(self, connection: Any, category: str, content: str, text: str) -> None:
        row = (category, content, datetime.now(UTC).isoformat(timespec="seconds"), text)
        connection.execute(
            f"INSERT INTO {self._table} (category, content, time, placement) VALUES (?, ?, ?, ?)",
            row,
        )
        connection.execute(
            f"DELETE FROM {self._table} WHERE category = ? AND number NOT IN (SELECT number FROM "
            f"{self._table} WHERE category = ? ORDER BY number DESC LIMIT ?)",
            (category, category, KEPT),
        )


def placement_of(listings: list[Listing]) -> dict[str, int]:
    """Return the cluster of each listing by its name."""
    occurrences: Counter[str] = Counter()
    placement = {}
    for listing in listings:
        name = f"{listing.product_base_id}#{occurrences[listing.product_base_id]}"
        occurrences[listing.product_base_id] += 1
        placement[name] = -1 if listing.cluster_id is None else listing.cluster_id
    return placement


def compare(before: Placement, after: Placement, since: str) -> Changes:
    """Return what is different between two results; listings that keep their cluster's number have
    not moved.
    """
    both = before.keys() & after.keys()
    old, new = (
        {number for number in placement.values() if number >= 0} for placement in (before, after)
    )
    return Changes(
        since=since,
        new_listings=len(after.keys() - before.keys()),
        gone_listings=len(before.keys() - after.keys()),
        moved_listings=sum(before[name] != after[name] for name in both),
        new_clusters=tuple(sorted(new - old)),
        gone_clusters=tuple(sorted(old - new)),
    )
