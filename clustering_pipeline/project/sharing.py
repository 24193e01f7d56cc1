"""A home whose databases are in PostgreSQL, with those of other machines: what it had in files is
moved there once, and the storage remembers which database it was and how far it had come.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.project.keepsakes import State, difference
from clustering_pipeline.storage import FileTree, layout

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clustering_pipeline.storage import SharedDatabase

_log = logging.getLogger(__name__)
MOVE_COMMAND = "clustering-pipeline storage move-state"
# Holds the files after their rows were copied.
MOVED = "moved-to-postgresql"
_ROWS_AT_ONCE = 1000
# What another process wrote meanwhile is not remembered less far.
_remembered: dict[tuple[str, str], State] = {}


@dataclass(frozen=True)
class _Table:
    """A table of a file in the home's state, with what it is called in the database, and the column
    that numbers its rows.
    """

    file: str
    name: str
    target: str
    number: str = ""


# In the order in which they are copied.
TABLES = (
    _Table(layout.CORRECTIONS, "corrections", "corrections", "number"),
    _Table(layout.REVIEW_PROGRESS, "looked_at", "looked_at"),
    _Table(layout.CLUSTER_NUMBERS, "states", "states", "state"),
    _Table(layout.CLUSTER_NUMBERS, "results", "results", "result"),
    _Table(layout.CLUSTER_NUMBERS, "events", "events", "event"),
    _Table(layout.DOWNLOAD_JOURNAL, "pictures", "pictures"),
    _Table(layout.REPORT_HISTORY, "results", layout.REPORTED_RESULTS, "number"),
    _Table(layout.DELIVERIES, "deliveries", "deliveries"),
)
# What cannot be made again; numbered by a row's height.
_KEPT = ("corrections", "states", "results", "events")


def check_moved(state: Path, name: str) -> None:
    """Raise InputError when a home still has numbers or corrections in files, of which the database
    called `name` knows nothing.
    """
    waiting = [
        file for file in (layout.CLUSTER_NUMBERS, layout.CORRECTIONS) if (state / file).exists()
    ]
    if waiting:
        raise InputError(
            f"storage.database is {name}, and this home still has {' and '.join(waiting)} in "
            f"{state}. Copy them there with `{MOVE_COMMAND}`, or take storage.database away; "
            "nothing was started, since clusters would lose their numbers."
        )


class SharedKeepsakes:
    """What a storage remembers of the database that its homes share."""

    def __init__(self, database: "SharedDatabase", root: str) -> None:
        """`root`: the folder or URL of the storage."""
        self._database = database
        self._key = (database.name, root)
        self.files = FileTree(f"{root}/{layout.COPIES}")

    def check(self, name: str) -> None:
        """See once in a process that the database is the one that the storage remembers, and not an
        older state of it; `name` is the part that is about to be used.

        Raises StageError.
        """
        del name
        if self._key in _remembered:
            return
        before, present = self._read(), self._state()
        if before is not None and not present.holds(before):
            raise StageError(
                f"The database {self._database.name} is not the one that the storage "
                f"{self.files.root} remembers: {difference(present, before)}. Point "
                "storage.database to the right one, or restore its latest backup. To go on with "
                f"this one, remove {self.files.address(layout.DATABASE_MARK)}: products may then "
                "get numbers that others had. Nothing was changed."
            )
        _remembered[self._key] = before or State(present.identity)

    def keep(self) -> None:
        """Write down how far the database has come, when it went on since."""
        present = self._state()
        if _remembered.get(self._key) != present:
            content = json.dumps(vars(present), sort_keys=True).encode()
            self.files.write(layout.DATABASE_MARK, content)
            _remembered[self._key] = present

    def _read(self) -> State | None:
        try:
            state = json.loads(self.files.read(layout.DATABASE_MARK))
            return State(state["identity"], state["heights"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            self.files.set_aside(layout.DATABASE_MARK, str(error))
            return None

    def _state(self) -> State:
        from sqlalchemy import text

        highest = ", ".join(
            f"(SELECT COALESCE(MAX({table.number}), 0) FROM {table.target}) AS {table.target}"
            for table in TABLES
            if table.target in _KEPT
        )
        query = text(f"SELECT (SELECT value FROM identity) AS identity, {highest}")
        with self._database.errors("state"), self._database.connection() as connection:
            row = dict(connection.execute(query).mappings().one())
        identity = str(row.pop("identity"))
        return State(identity, {name: int(height) for name, height in row.items()})


def move_state(state: Path, database: "SharedDatabase") -> dict[str, int]:
    """Copy what a home has in files into an empty database and set the files aside; returns how
    many rows each table got.

    All or nothing: a copy that is interrupted leaves the database empty and the files where they
    were. Raises InputError when the database holds something already, StageError when it cannot be
    used.
    """
    with database.errors("state"), database.connection() as connection:
        _refuse_filled(connection, state, database.name)
        counts = {table.target: _copy(connection, state, table) for table in TABLES}
        connection.commit()
    aside = state / MOVED
    aside.mkdir(exist_ok=True)
    for file in {table.file: None for table in TABLES}:
        for path in sorted(state.glob(f"{file}*")):
            path.replace(aside / path.name)
    return counts


def _refuse_filled(connection: "Connection", state: Path, name: str) -> None:
    """What the home has no file of may be there: corrections that several shared before."""
    for table in TABLES:
        if not (state / table.file).exists():
            continue
        if connection.exec_driver_sql(f"SELECT 1 FROM {table.target} LIMIT 1").first() is None:
            continue
        raise InputError(
            f"The database {name} already holds {table.target.replace('_', ' ')}. Those of two "
            "homes cannot become one, since both gave the same numbers. Give this home a database "
            "of its own; nothing was copied."
        )


def _copy(connection: "Connection", state: Path, table: _Table) -> int:
    path, count = state / table.file, 0
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=60)) as file:
        file.row_factory = sqlite3.Row
        try:
            for rows in _batches(file, table.name):
                columns = ", ".join(rows[0].keys())
                values = ", ".join(["%s"] * len(rows[0]))
                connection.exec_driver_sql(
                    f"INSERT INTO {table.target} ({columns}) VALUES ({values})",
                    [tuple(row) for row in rows],
                )
                count += len(rows)
            if table.number:
                _continue_after(connection, table, _issued(file, table.name))
        except sqlite3.Error as error:
            raise StageError(
                f"{path} cannot be read ({error}). Nothing was copied; run any category without "
                "storage.database once, which restores it from its copy in the storage."
            ) from error
    return count


def _batches(file: sqlite3.Connection, table: str) -> Iterator[Sequence[sqlite3.Row]]:
    if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        return
    cursor = file.execute(f"SELECT * FROM {table}")
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield rows


def _issued(file: sqlite3.Connection, table: str) -> int:
    """Return the highest number that a table has given to a row."""
    if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return 0
    row = file.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(row[0]) if row else 0


def _continue_after(connection: "Connection", table: _Table, issued: int) -> None:
    if issued:
        sequence: Any = (table.target, table.number, issued)
        connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", sequence)
