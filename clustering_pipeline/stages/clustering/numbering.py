"""Cluster numbers that stay: an append-only register of every number issued, and what changed
between two runs.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.storage import Place, open_tables

# A number stays with a cluster that shares at least this part of the smaller of the two.
SMALLEST_OVERLAP = 0.5

Members = frozenset[str]
State = tuple[int, Members]


def assign_numbers(clusters: Sequence[Members], states: Sequence[State]) -> list[int]:
    """Return a number per cluster: those of `states` by the assignment of greatest overlap, new
    ones for the rest.

    Overlap is the Jaccard index with the most alike state that a number ever had. New numbers
    follow the greatest issued one, larger clusters first, then by their members.
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
    shares = sparse.csr_matrix(
        (list(overlaps.values()), (rows, columns)), shape=(len(clusters), len(issued))
    )
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
    """Return (row, column) pairs of the assignment with the greatest total share, ties to the
    lowest numbers.
    """
    row_count, column_count = shares.shape
    rows, columns = shares.nonzero()
    part = component_labels(row_count + column_count, rows, row_count + columns)
    pairs = []
    for rows, columns in _blocks(part[:row_count], part[row_count:]):
        block = shares[rows][:, columns].toarray()
        # Among equals the earlier cluster gets the lower number; the nudge is far below any
        # difference of shares.
        nudge = 1e-9 * np.outer(np.linspace(1, 2, len(rows)), np.linspace(1, 2, len(columns)))
        for row, column in zip(*linear_sum_assignment(block - nudge, maximize=True), strict=True):
            if block[row, column] > 0:
                pairs.append((int(rows[row]), int(columns[column])))
    return pairs


def _blocks(
    row_parts: NDArray[np.int64], column_parts: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    rows, columns = defaultdict(list), defaultdict(list)
    for index, part in enumerate(row_parts):
        rows[part].append(index)
    for index, part in enumerate(column_parts):
        columns[part].append(index)
    return [(np.array(rows[part]), np.array(columns[part])) for part in rows if part in columns]


@dataclass(frozen=True)
class Change:
    """`number` was born, retired, split off `other` or was merged into `other`, with so many
    `members` (names, not listings).
    """

    kind: Literal["birth", "retirement", "split", "merge"]
    number: int
    other: int | None
    members: int


def changes_between(before: Mapping[int, Members], after: Mapping[int, Members]) -> list[Change]:
    """Return the changes from one numbered grouping to the next, by number.

    A number that appears split off the one that held most of its members, or is a birth when none
    did. A number that is gone was merged into the one that now holds most of its members, or
    retired when none does.
    """
    return [*_appearances(before, after), *_disappearances(before, after)]


def _appearances(before: Mapping[int, Members], after: Mapping[int, Members]) -> Iterator[Change]:
    numbers_before = _numbers_by_member(before)
    for number in sorted(set(after) - set(before)):
        source = _most_common(numbers_before, after[number])
        yield Change("birth" if source is None else "split", number, source, len(after[number]))


def _disappearances(
    before: Mapping[int, Members], after: Mapping[int, Members]
) -> Iterator[Change]:
    numbers_after = _numbers_by_member(after)
    for number in sorted(set(before) - set(after)):
        target = _most_common(numbers_after, before[number])
        yield Change(
            "retirement" if target is None else "merge", number, target, len(before[number])
        )


def _numbers_by_member(clusters: Mapping[int, Members]) -> dict[str, int]:
    return {member: number for number, members in clusters.items() for member in members}


def _most_common(numbers: Mapping[str, int], members: Members) -> int | None:
    counts = Counter(numbers[member] for member in members if member in numbers)
    return min(counts, key=lambda number: (-counts[number], number)) if counts else None


EVENT_COLUMNS = ("time", "kind", "number", "other", "members")
_TABLES = """
CREATE TABLE IF NOT EXISTS states (
    state INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, number INTEGER NOT NULL,
    members TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    result INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, states TEXT NOT NULL,
    time TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    event INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, time TEXT NOT NULL,
    kind TEXT NOT NULL, number INTEGER NOT NULL, other INTEGER, members INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS states_by_category ON states (category);
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{action.lower()} BEFORE {action} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END;\n"
    for table in ("states", "results", "events")
    for action in ("UPDATE", "DELETE")
)

_UNUSABLE = (
    "The register of cluster numbers {path} cannot be used ({error}). Check that the file is ours "
    "and that its folder can be written; without it clusters would lose their numbers, so the "
    "stage stops here."
)


class NumberRegister:
    """The numbers of every category in one SQLite file, or in a database that machines share.

    `states` has a row (number, members) for each set of listings that a number ever stood for,
    `results` the states of each grouping that differed from the one before, `events` what happened
    between the two. Rows are only ever added.
    """

    def __init__(self, place: Place) -> None:
        """`place`: the file, created when missing, or what machines share."""
        self.place = place
        self._database = open_tables(place, _TABLES, _UNUSABLE, "register of cluster numbers")

    def number(self, category: str, clusters: Sequence[Members]) -> tuple[list[int], list[Change]]:
        """Return a number for each cluster, a set of member names, and what changed; records what
        is new.

        The same clusters get the same numbers in whatever order they are given. One transaction:
        after a run that died, or twice in a row, the same clusters get the same numbers. Raises
        StageError when the register cannot be used.
        """
        with self._database.writing(category) as connection:
            states = _read_states(connection, category)
            numbers = assign_numbers(clusters, list(states.values()))
            numbered = dict(sorted(zip(numbers, clusters, strict=True)))
            before = _current(connection, category, states)
            if before == numbered:
                return numbers, []
            changes = changes_between(before, numbered)
            _record(connection, category, numbered, states, changes)
            return numbers, changes

    def current(self, category: str) -> dict[int, Members]:
        """Return the members of each number in the category's latest result."""
        with self._database.reading() as connection:
            return _current(connection, category, _read_states(connection, category))

    def states(self, category: str) -> list[State]:
        """Return every (number, members) ever recorded for a category, oldest first."""
        with self._database.reading() as connection:
            return list(_read_states(connection, category).values())

    def events(self, category: str) -> pd.DataFrame:
        """Return births, retirements, splits and merges, oldest first, with the columns of
        `EVENT_COLUMNS`.
        """
        query = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE category = ? ORDER BY event"
        with self._database.reading() as connection:
            rows = connection.execute(query, (category,)).fetchall()
        return pd.DataFrame([tuple(row) for row in rows], columns=list(EVENT_COLUMNS))


def _read_states(connection: Any, category: str) -> dict[int, State]:
    rows = connection.execute(
        "SELECT state, number, members FROM states WHERE category = ? ORDER BY state", (category,)
    )
    return {state: (int(number), frozenset(json.loads(members))) for state, number, members in rows}


def _current(connection: Any, category: str, states: dict[int, State]) -> dict[int, Members]:
    query = "SELECT states FROM results WHERE category = ? ORDER BY result DESC LIMIT 1"
    latest = connection.execute(query, (category,)).fetchone()
    return dict(sorted(states[state] for state in json.loads(latest[0]))) if latest else {}


def _record(
    connection: Any,
    category: str,
    numbered: dict[int, Members],
    states: dict[int, State],
    changes: list[Change],
) -> None:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    state_of = {content: state for state, content in states.items()}
    insert = (
        "INSERT INTO states (category, number, members, time) VALUES (?, ?, ?, ?) RETURNING state"
    )
    for number, members in numbered.items():
        if (number, members) not in state_of:
            written = json.dumps(sorted(members), ensure_ascii=False)
            row = connection.execute(insert, (category, number, written, time)).fetchone()
            state_of[number, members] = int(row[0])
    used = json.dumps([state_of[content] for content in numbered.items()])
    connection.execute(
        "INSERT INTO results (category, states, time) VALUES (?, ?, ?)", (category, used, time)
    )
    connection.executemany(
        "INSERT INTO events (category, time, kind, number, other, members) VALUES (?, ?, ?, ?, ?, "
        "?)",
        [
            (category, time, change.kind, change.number, change.other, change.members)
            for change in changes
        ],
    )
