"""Cluster numbers that stay: an append-only register of every number ever issued and the listings it stood for."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from clustering_pipeline.errors import StageError
from clustering_pipeline.grouping.assignment import Members, State, assign_numbers
from clustering_pipeline.grouping.changes import Change, changes_between

EVENT_COLUMNS = ("time", "kind", "number", "other", "members")
_TABLES = """
CREATE TABLE IF NOT EXISTS states (
    state INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, number INTEGER NOT NULL, members TEXT NOT NULL,
    time TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    result INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, states TEXT NOT NULL, time TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    event INTEGER PRIMARY KEY AUTOINCREMENT, category TEXT NOT NULL, time TEXT NOT NULL, kind TEXT NOT NULL,
    number INTEGER NOT NULL, other INTEGER, members INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS states_by_category ON states (category);
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{action.lower()} BEFORE {action} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END;\n"
    for table in ("states", "results", "events")
    for action in ("UPDATE", "DELETE")
)


class NumberRegister:
    """The numbers of every category in one SQLite file.

    `states` has a row (number, members) for each set of listings that a number ever stood for, `results` the states of each
    grouping that differed from the one before, `events` what happened between the two. Rows are only ever added.
    """

    def __init__(self, path: Path) -> None:
        """`path`: the file, created when missing."""
        self.path = path

    def number(self, category: str, clusters: Sequence[Members]) -> tuple[list[int], list[Change]]:
        """Return a number for each cluster, a set of member names, and what changed; records what is new.

        The same clusters get the same numbers in whatever order they are given. One transaction: after a run that died,
        or twice in a row, the same clusters get the same numbers. Raises StageError when the register cannot be used.
        """
        with self._transaction() as connection:
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
        with self._transaction() as connection:
            return _current(connection, category, _read_states(connection, category))

    def states(self, category: str) -> list[State]:
        """Return every (number, members) ever recorded for a category, oldest first."""
        with self._transaction() as connection:
            return list(_read_states(connection, category).values())

    def events(self, category: str) -> pd.DataFrame:
        """Return births, retirements, splits and merges, oldest first, with the columns of `EVENT_COLUMNS`."""
        query = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE category = ? ORDER BY event"
        with self._transaction() as connection:
            return pd.DataFrame(connection.execute(query, (category,)).fetchall(), columns=list(EVENT_COLUMNS))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
                connection.executescript(_TABLES)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except (OSError, sqlite3.DatabaseError) as error:
            raise StageError(
                f"The register of cluster numbers {self.path} cannot be used ({error}). Check that the file is ours and that its "
                "folder can be written; without it clusters would lose their numbers, so the stage stops here."
            ) from error


def _read_states(connection: sqlite3.Connection, category: str) -> dict[int, State]:
    rows = connection.execute("SELECT state, number, members FROM states WHERE category = ? ORDER BY state", (category,))
    return {state: (int(number), frozenset(json.loads(members))) for state, number, members in rows}


def _current(connection: sqlite3.Connection, category: str, states: dict[int, State]) -> dict[int, Members]:
    query = "SELECT states FROM results WHERE category = ? ORDER BY result DESC LIMIT 1"
    latest = connection.execute(query, (category,)).fetchone()
    return dict(sorted(states[state] for state in json.loads(latest[0]))) if latest else {}


def _record(
    connection: sqlite3.Connection, category: str, numbered: dict[int, Members], states: dict[int, State], changes: list[Change]
) -> None:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    known = {content: state for state, content in states.items()}
    insert = "INSERT INTO states (category, number, members, time) VALUES (?, ?, ?, ?)"
    for number, members in numbered.items():
        if (number, members) not in known:
            written = json.dumps(sorted(members), ensure_ascii=False)
            known[number, members] = int(connection.execute(insert, (category, number, written, time)).lastrowid or 0)
    used = json.dumps([known[content] for content in numbered.items()])
    connection.execute("INSERT INTO results (category, states, time) VALUES (?, ?, ?)", (category, used, time))
    connection.executemany(
        "INSERT INTO events (category, time, kind, number, other, members) VALUES (?, ?, ?, ?, ?, ?)",
        [(category, time, change.kind, change.number, change.other, change.members) for change in changes],
    )
