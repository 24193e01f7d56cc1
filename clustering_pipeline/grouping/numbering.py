"""Cluster numbers that stay: an append-only register of every number ever issued and the listings it stood for."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.errors import StageError

# A number stays with a cluster that shares at least this part of the smaller of the two.
SMALLEST_OVERLAP = 0.5
_TABLE = """
CREATE TABLE IF NOT EXISTS states (
    state INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, number INTEGER NOT NULL, members TEXT NOT NULL,
    time TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS states_by_category ON states (category);
CREATE TRIGGER IF NOT EXISTS states_stay BEFORE UPDATE ON states BEGIN SELECT RAISE(ABORT, 'states are only ever added'); END;
CREATE TRIGGER IF NOT EXISTS states_last BEFORE DELETE ON states BEGIN SELECT RAISE(ABORT, 'states are only ever added'); END;
"""

Members = frozenset[str]
State = tuple[int, Members]


class NumberRegister:
    """The numbers of every category in one SQLite file; a state (number, members, time) is added whenever members change."""

    def __init__(self, path: Path) -> None:
        """`path`: the file, created when missing."""
        self.path = path

    def number(self, category: str, clusters: Sequence[Members]) -> list[int]:
        """Return a number for each cluster, a set of member names, and record what is new.

        The same clusters get the same numbers in whatever order they are given. One transaction: after a run that died,
        or twice in a row, the same clusters get the same numbers. Raises StageError when the register cannot be used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
                connection.executescript(_TABLE)
                connection.execute("BEGIN IMMEDIATE")
                states = _read_states(connection, category)
                numbers = assign_numbers(clusters, states)
                _add_states(connection, category, zip(numbers, clusters, strict=True), states)
                connection.execute("COMMIT")
                return numbers
        except (OSError, sqlite3.DatabaseError) as error:
            raise StageError(
                f"The register of cluster numbers {self.path} cannot be used ({error}). Check that the file is ours and that its "
                "folder can be written; without it clusters would lose their numbers, so the stage stops here."
            ) from error

    def states(self, category: str) -> list[State]:
        """Return every (number, members) ever recorded for a category, oldest first."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            return _read_states(connection, category)


def _read_states(connection: sqlite3.Connection, category: str) -> list[State]:
    rows = connection.execute("SELECT number, members FROM states WHERE category = ? ORDER BY state", (category,))
    return [(int(number), frozenset(json.loads(members))) for number, members in rows]


def _add_states(connection: sqlite3.Connection, category: str, numbered: Iterable[State], states: Sequence[State]) -> None:
    known = set(states)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [
        (category, number, json.dumps(sorted(members), ensure_ascii=False), time)
        for number, members in sorted(numbered, key=lambda pair: pair[0])
        if (number, members) not in known
    ]
    connection.executemany("INSERT INTO states (category, number, members, time) VALUES (?, ?, ?, ?)", rows)


def assign_numbers(clusters: Sequence[Members], states: Sequence[State]) -> list[int]:
    """Return a number per cluster: those of `states` by the assignment of greatest overlap, new ones for the rest.

    Overlap is the Jaccard index with the most alike state that a number ever had. New numbers follow the greatest issued
    one, larger clusters first, then by their members.
    """
    numbers = _match_states(clusters, states)
    free = max((number for number, _ in states), default=0) + 1
    unnumbered = [index for index in range(len(clusters)) if index not in numbers]
    unnumbered.sort(key=lambda index: (-len(clusters[index]), sorted(clusters[index])))
    numbers.update({index: free + offset for offset, index in enumerate(unnumbered)})
    return [numbers[index] for index in range(len(clusters))]


def _match_states(clusters: Sequence[Members], states: Sequence[State]) -> dict[int, int]:
    overlaps = _overlaps(clusters, states)
    if not overlaps:
        return {}
    order = sorted(range(len(clusters)), key=lambda index: sorted(clusters[index]))
    place = {index: row for row, index in enumerate(order)}
    issued = sorted({number for _, number in overlaps})
    column = {number: position for position, number in enumerate(issued)}
    rows = np.array([place[index] for index, _ in overlaps])
    columns = np.array([column[number] for _, number in overlaps])
    shares = sparse.csr_matrix((list(overlaps.values()), (rows, columns)), shape=(len(clusters), len(issued)))
    return {order[row]: issued[chosen] for row, chosen in _best_assignment(shares)}


def _overlaps(clusters: Sequence[Members], states: Sequence[State]) -> dict[tuple[int, int], float]:
    """Return the greatest Jaccard index per (cluster, number) of those that overlap enough."""
    holders = defaultdict(list)
    for index, members in enumerate(clusters):
        for member in members:
            holders[member].append(index)
    best: dict[tuple[int, int], float] = {}
    for number, members in dict.fromkeys(states):
        common = Counter(index for member in members for index in holders.get(member, ()))
        for index, count in common.items():
            own = len(clusters[index])
            if count >= SMALLEST_OVERLAP * min(own, len(members)):
                jaccard = count / (own + len(members) - count)
                best[index, number] = max(best.get((index, number), 0.0), jaccard)
    return best


def _best_assignment(shares: sparse.csr_matrix) -> list[tuple[int, int]]:
    """Return (row, column) pairs of the assignment with the greatest total share, ties to the lowest numbers."""
    row_count = shares.shape[0]
    graph = sparse.bmat([[None, shares], [shares.T, None]], format="csr")
    _, part = connected_components(graph, directed=False)
    pairs = []
    for rows, columns in _blocks(part[:row_count], part[row_count:]):
        block = shares[rows][:, columns].toarray()
        # Among equals the earlier cluster gets the lower number; the nudge is far below any difference of shares.
        nudge = 1e-9 * np.outer(np.linspace(1, 2, len(rows)), np.linspace(1, 2, len(columns)))
        for row, column in zip(*linear_sum_assignment(block - nudge, maximize=True), strict=True):
            if block[row, column] > 0:
                pairs.append((int(rows[row]), int(columns[column])))
    return pairs


def _blocks(row_parts: np.ndarray, column_parts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    rows, columns = defaultdict(list), defaultdict(list)
    for index, part in enumerate(row_parts):
        rows[part].append(index)
    for index, part in enumerate(column_parts):
        columns[part].append(index)
    return [(np.array(rows[part]), np.array(columns[part])) for part in rows if part in columns]
