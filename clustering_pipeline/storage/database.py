"""Databases that SQLAlchemy speaks to. Where people's statements are kept: a SQLite file of this
installation, or a PostgreSQL database that several share. All that one home keeps in SQLite files
otherwise lies there too, in one schema that Alembic migrates. Addresses, and errors, are told in
words that never repeat a password.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.storage.turns import Turns, key_of

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
}


def make_address(address: str, purpose: str) -> URL:
    """Return the URL of a database of SQLite or PostgreSQL with its driver.

    `purpose`: what is kept there. Raises InputError, which does not repeat the address, for it may
    hold a password.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError(
            f"The address of the {purpose} is not well formed. Write "
            "postgresql://USER@HOST:PORT/DATABASE, with what is not a letter or digit of a "
            "password percent-encoded, or leave the password to PGPASSWORD or ~/.pgpass."
        ) from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InputError(
            f"The {purpose} cannot be kept in {backend!r}. Give a PostgreSQL URL, or a SQLite file."
        )
    return url if "+" in url.drivername else url.set(drivername=_DRIVERS[backend])


def shown(url: URL) -> str:
    """Return the file, or the address without its password and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    account = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    host = url.host or "localhost"
    return f"postgresql://{account}{host}{port}/{url.database or ''}"


def cause_of(error: BaseException) -> str:
    """Return what the driver said where SQLAlchemy has wrapped it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).strip()


# What is ours lies in a schema of its own, so that Dagster may have the same database.
SCHEMA = "clustering_pipeline"
VERSION_TABLE = "schema_version"
# The newest of `migrations/versions`, which a test compares.
REVISION = "0001"
PURPOSE = "state that machines share"
# A server that restarts is waited for so long.
_SECONDS_OF_A_RESTART = 60.0
_PAUSE = 0.5
# No statement waits longer for a row, or for another writer, than this.
_SECONDS_FOR_A_TURN = 60
# The server notices within a minute that a machine is gone, and lets go of its turns.
_SERVER_OPTIONS = (
    f"-csearch_path={SCHEMA},public -clock_timeout={_SECONDS_FOR_A_TURN}s "
    "-ctcp_keepalives_idle=30 -ctcp_keepalives_interval=10 -ctcp_keepalives_count=3"
)
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_MIGRATING = 0x636C7573
_log = logging.getLogger(__name__)
# Databases that this process has reached, and whose schema it has seen to be the newest.
_reached: set[tuple[int, str]] = set()


@dataclass(frozen=True)
class SharedDatabase:
    """A PostgreSQL database by its address; threads, processes and machines may share it."""

    address: str = field(repr=False)

    @cached_property
    def url(self) -> URL:
        """The parsed address; raises InputError, without repeating it."""
        return make_address(self.address, PURPOSE)

    @property
    def name(self) -> str:
        """The address without its password and options."""
        return shown(self.url)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Give a connection to the newest schema, which is made or migrated when it is not; what is
        not committed when the block ends is undone.

        A server that restarts is waited for. Raises SQLAlchemyError, and StageError when the schema
        is of a newer version than this program.
        """
        with self.connect() as connection:
            key = os.getpid(), self.address
            if key not in _reached:
                _bring_up_to_date(connection, self.name)
                _reached.add(key)
            yield connection

    def connect(self) -> Connection:
        """Return a connection whatever the schema is like; raises OperationalError."""
        engine = _engine(os.getpid(), self.url)
        deadline, has_spoken = time.monotonic() + _SECONDS_OF_A_RESTART, False
        while True:
            try:
                return engine.connect()
            except OperationalError as error:
                if not self._comes_back(error) or time.monotonic() > deadline:
                    raise
                if not has_spoken:
                    _log.warning("%s does not answer (%s); waiting.", self.name, cause_of(error))
                has_spoken = True
                time.sleep(_PAUSE)

    def _comes_back(self, error: OperationalError) -> bool:
        """Whether a server that does not answer is worth waiting for: it did before, or says that
        it stops or starts.
        """
        is_known = (os.getpid(), self.address) in _reached
        return is_known or "the database system is" in cause_of(error)

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn what the database raises while the block runs into a StageError about `what`."""
        try:
            yield
        except SQLAlchemyError as error:
            raise StageError(
                f"The {what} in {self.name} cannot be used ({cause_of(error)}). "
                f"{_remedy(error)} What was committed is kept."
            ) from error

    @property
    def identity(self) -> str:
        """What tells this database from every other, by whatever address it is reached."""
        with self.errors("record of whose database it is"), self.connection() as connection:
            return str(connection.execute(text("SELECT value FROM identity")).scalar_one())

    @property
    def turns(self) -> Turns:
        """The turns that this process has taken among those of all machines."""
        return _turns(os.getpid(), self)


@lru_cache(maxsize=8)
def _engine(process: int, url: URL) -> Engine:
    """Return the connections of one process to one database."""
    options = " ".join(filter(None, [str(url.query.get("options", "")), _SERVER_OPTIONS]))
    try:
        return create_engine(
            url.difference_update_query(["options"]),
            pool_size=2,
            max_overflow=30,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "options": options,
                "application_name": f"clustering-pipeline {process} {socket.gethostname()}",
                **_KEEPALIVES,
            },
        )
    except ModuleNotFoundError as error:
        raise StageError(
            f"The {PURPOSE} is kept in PostgreSQL, and {error.name} is not installed. Install it: "
            "pip install 'clustering-pipeline[postgres]'."
        ) from error


@cache
def _turns(process: int, database: SharedDatabase) -> Turns:
    del process
    return Turns(database)


def _remedy(error: SQLAlchemyError) -> str:
    if getattr(getattr(error, "orig", None), "pgcode", None) == "55P03":
        return (
            f"Another program has kept it locked for {_SECONDS_FOR_A_TURN} s; run again when that "
            "has ended."
        )
    return "See that the server runs and can be reached, and run again."


def schema_version(connection: Connection) -> str | None:
    """Return the revision of the schema, None where there is none yet."""
    table = f"{SCHEMA}.{VERSION_TABLE}"
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return None
    version = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()
    return None if version is None else str(version)


def _bring_up_to_date(connection: Connection, name: str) -> None:
    revision = schema_version(connection)
    connection.rollback()
    if revision == REVISION:
        return
    if revision is not None and revision > REVISION:
        raise StageError(
            f"The tables in {name} are of revision {revision}, and this program knows them up to "
            f"{REVISION}. Bring this machine to the release of the others; nothing was changed."
        )
    connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _MIGRATING})
    if schema_version(connection) != REVISION:
        _migrate(connection)
    connection.commit()


def _migrate(connection: Connection) -> None:
    try:
        from alembic import command
        from alembic.config import Config
    except ModuleNotFoundError as error:
        raise StageError(
            f"The tables in PostgreSQL are made by {error.name}, which is not installed. Install "
            "it: pip install 'clustering-pipeline[postgres]'."
        ) from error
    if not connection.execute(
        text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": SCHEMA}
    ).scalar():
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    config = Config()
    config.set_main_option("script_location", "clustering_pipeline:storage/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


class SharedTables:
    """The tables of one purpose in the shared database, used like a `LocalDatabase`: SQL with `?`
    for values.
    """

    def __init__(self, database: SharedDatabase, purpose: str) -> None:
        """`purpose`: what the tables hold, for errors."""
        self.database = database
        self._purpose = purpose

    @contextmanager
    def reading(self) -> Iterator["SharedConnection"]:
        """Give a connection that sees one state of the database; raises StageError."""
        with self._errors(), self.database.connection() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield SharedConnection(connection)

    @contextmanager
    def writing(self, part: str = "") -> Iterator["SharedConnection"]:
        """Give a connection whose changes are committed when the block ends without an error;
        writers of one part take turns.

        Raises StageError when the database cannot be used, or when another writer keeps the part
        for longer than a minute.
        """
        turn = {"turn": key_of(f"{self._purpose} {part}")}
        with self._errors(), self.database.connection() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), turn)
            yield SharedConnection(connection)
            connection.commit()

    def extent(self, table: str, number: str, category: str) -> tuple[int, int]:
        """Return how many rows a table that only grows has of a category, and the last of the
        numbers of the column `number`, 0 without any; raises StageError.
        """
        query = f"SELECT COUNT(*), COALESCE(MAX({number}), 0) FROM {table} WHERE category = ?"
        with self.reading() as connection:
            count, last = connection.execute(query, (category,)).fetchone()
        return int(count), int(last)

    def session(self) -> "SharedTables":
        """Return what one uses who reads and writes often: the pool keeps the connections."""
        return self

    def close(self) -> None:
        """Nothing is held."""

    def _errors(self) -> AbstractContextManager[None]:
        return self.database.errors(self._purpose)


class SharedConnection:
    """Executes the SQL that SQLite and PostgreSQL have in common."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the cursor of a statement with `?` for its values."""
        return self._connection.exec_driver_sql(query.replace("?", "%s"), tuple(values))

    def executemany(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement once for each of the rows."""
        if rows:
            self._connection.exec_driver_sql(query.replace("?", "%s"), [tuple(row) for row in rows])


_SECONDS_FOR_SQLITE = 30
# Writers of one PostgreSQL database take turns on this lock; the number only has to be ours.
_TURN = 0x636C7573


class Database:
    """Transactions on a database whose tables are made when they are first needed.

    A connection lives as long as one transaction, so that threads and processes may share the
    object's database.
    """

    def __init__(
        self,
        place: Path | str | SharedDatabase,
        tables: MetaData,
        purpose: str,
        committed: Callable[[], None] | None = None,
    ) -> None:
        """`place`: a SQLite file, an URL of SQLite or PostgreSQL, or the database that holds
        everything; `purpose`: what is kept there, for errors; `committed` is called after every
        change.

        Raises InputError for an URL of another kind.
        """
        self._shared = place if isinstance(place, SharedDatabase) else None
        self._url = place.url if isinstance(place, SharedDatabase) else _url_of(place, purpose)
        self._tables = tables
        self._purpose = purpose
        self._committed = committed

    @property
    def name(self) -> str:
        """The file, or the address without its password and options."""
        return shown(self._url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading; raises StageError when the database cannot be used."""
        with self._connection() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed when the block ends without an error;
        writers take turns.

        Raises StageError when the database cannot be used.
        """
        with self._connection() as connection:
            _wait_for_turn(connection)
            yield connection
            connection.commit()
        if self._committed is not None:
            self._committed()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            if self._shared is not None:
                with self._shared.connection() as connection:
                    yield connection
                return
            with self._engine().connect() as connection:
                self._make_tables(connection)
                yield connection
        except (OSError, SQLAlchemyError) as error:
            raise StageError(
                f"The {self._purpose} in {self.name} cannot be used ({cause_of(error)}). Check "
                "that it is a database of ours that can be reached and written to; "
                f"{_outcome(error)}"
            ) from error

    def _engine(self) -> Engine:
        if self._url.get_backend_name() == "sqlite":
            Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            return create_engine(
                self._url, poolclass=NullPool, connect_args={"timeout": _SECONDS_FOR_SQLITE}
            )
        try:
            return create_engine(
                self._url,
                poolclass=NullPool,
                hide_parameters=True,
                connect_args={"connect_timeout": 10},
            )
        except ModuleNotFoundError as error:
            raise StageError(
                f"The {self._purpose} are kept in PostgreSQL, whose driver is not installed "
                f"({error.name}). Install it: pip install 'clustering-pipeline[postgres]'."
            ) from error

    def _make_tables(self, connection: Connection) -> None:
        present = inspect(connection)
        if not all(present.has_table(name) for name in self._tables.tables):
            _wait_for_turn(connection)
            self._tables.create_all(connection)
            connection.commit()


def _outcome(error: Exception) -> str:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        # The server may have committed before its answer was lost.
        return "look whether what was being written is there before you write it again."
    return "nothing was changed."


def _wait_for_turn(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})


def _url_of(place: Path | str, purpose: str) -> URL:
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=str(place))
    return make_address(place, purpose)
