"""Where people's statements are kept: a SQLite file of this installation, or a PostgreSQL database
that several share.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage.addresses import cause_of, make_address, shown
from clustering_pipeline.storage.shared_database import SharedDatabase

_SECONDS_FOR_A_TURN = 30
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
                self._url, poolclass=NullPool, connect_args={"timeout": _SECONDS_FOR_A_TURN}
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
