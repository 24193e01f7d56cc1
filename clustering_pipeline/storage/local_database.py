"""Tables in a SQLite file of this installation alone, or in the database that several machines
share; SQLAlchemy, which takes long to load, is left to the latter.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Union

from clustering_pipeline.core.errors import StageError

if TYPE_CHECKING:
    from clustering_pipeline.storage.database import SharedDatabase, SharedTables

_SECONDS_FOR_A_TURN = 60
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_log = logging.getLogger(__name__)


class LocalDatabase:
    """Transactions on a file whose tables are made when they are first needed; threads and
    processes may share it.
    """

    def __init__(
        self, path: Path, schema: str, unusable: str, *, is_replaceable: bool = False
    ) -> None:
        """`schema`: SQL that makes what is missing; `unusable`: the sentence for errors, with
        {path} and {error}. `is_replaceable`: a damaged file is set aside and made again, for what
        can be had again or done without.
        """
        self.path = path
        self._is_replaceable = is_replaceable
        self._schema = schema
        self._unusable = unusable

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one state of the file; raises StageError when the file cannot
        be used.
        """
        with self.errors(), closing(self.connect()) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self, part: str = "") -> Iterator[sqlite3.Connection]:
        """Give a connection whose changes are committed when the block ends without an error;
        writers take turns, whatever `part` they write.

        Raises StageError when the file cannot be used.
        """
        del part
        with self.errors(), closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def extent(self, table: str, number: str, category: str) -> tuple[int, int]:
        """Return how many rows a table that only grows has of a category, and the last of the
        numbers of the column `number`, 0 without any; raises StageError when the file cannot be
        used.
        """
        query = f"SELECT COUNT(*), COALESCE(MAX({number}), 0) FROM {table} WHERE category = ?"
        with self.reading() as connection:
            count, last = connection.execute(query, (category,)).fetchone()
        return count, last

    def session(self) -> "LocalSession":
        """Return the file with a connection that stays open, for one who reads and writes often;
        raises StageError when the file cannot be used.
        """
        return LocalSession(self)

    def connect(self) -> sqlite3.Connection:
        """Return a connection that commits by itself; raises StageError when the file cannot be
        used.
        """
        with self.errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._open()
            except sqlite3.DatabaseError as error:
                if not self._set_aside(error):
                    raise
                return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=_SECONDS_FOR_A_TURN,
            check_same_thread=False,
            isolation_level=None,
        )
        try:
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what SQLite and the disk raise into a StageError."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._set_aside(error)
            raise StageError(self._unusable.format(path=self.path, error=error)) from error

    def _set_aside(self, error: Exception) -> bool:
        """Take a damaged file that can be replaced out of the way; returns whether it did."""
        if not self._is_replaceable or getattr(error, "sqlite_errorcode", None) not in _DAMAGED:
            return False
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        aside = self.path.with_name(f".{self.path.name}.damaged")
        self.path.replace(aside)
        _log.warning("%s is damaged (%s): set aside as %s.", self.path, error, aside)
        return True


class LocalSession:
    """One connection to a file that stays open; threads share it in turns."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection = database.connect()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; raises StageError when the file cannot be used."""
        with self._database.errors(), self._lock:
            yield self._connection

    @contextmanager
    def writing(self, part: str = "") -> Iterator[sqlite3.Connection]:
        """Give the connection, whose changes are committed when the block ends without an error;
        raises StageError when the file cannot be used.
        """
        del part
        with self._database.errors(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


# Where tables lie: in a SQLite file, or in PostgreSQL with those of every other purpose.
Place = Union[Path, "SharedDatabase"]


def open_tables(
    place: Place, schema: str, unusable: str, purpose: str, *, is_replaceable: bool = False
) -> "LocalDatabase | SharedTables":
    """Return the tables of one purpose, which are used alike wherever they lie.

    `schema`, `unusable` and `is_replaceable` are what `LocalDatabase` takes for a file; `purpose`
    names what they hold in errors of PostgreSQL.
    """
    if isinstance(place, Path):
        return LocalDatabase(place, schema, unusable, is_replaceable=is_replaceable)
    from clustering_pipeline.storage.database import SharedTables

    return SharedTables(place, purpose)
