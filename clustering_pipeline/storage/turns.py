"""Turns that the processes of several machines take: advisory locks of PostgreSQL, which the server
takes back from a process that is gone.
"""

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from clustering_pipeline.core.errors import StageError

if TYPE_CHECKING:
    from clustering_pipeline.storage.database import SharedDatabase

_PAUSE = 0.2
# A wait shorter than this is not worth a word.
_SECONDS_OF_SILENCE = 2.0
# The server takes as long to notice that the process which had a turn is gone.
_SECONDS_OF_THE_GONE = 90.0
_HOLDER = text("""
SELECT activity.application_name FROM pg_locks AS locks
JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory' AND locks.objsubid = 1 AND locks.granted
  AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND locks.classid::bigint = :high AND locks.objid::bigint = :low
  AND activity.application_name <> current_setting('application_name')
ORDER BY activity.application_name LIMIT 1
""")
_log = logging.getLogger(__name__)


def key_of(name: str) -> int:
    """Return the number of an advisory lock, 64 bits with a sign."""
    digest = hashlib.sha256(f"clustering-pipeline {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Turns:
    """The turns of one process, all held by one connection; its threads share them."""

    def __init__(self, database: "SharedDatabase") -> None:
        self._database = database
        self._mutex = threading.RLock()
        self._turns: Counter[tuple[str, bool]] = Counter()
        self._connection: Connection | None = None

    @contextmanager
    def turn(self, name: str, *, shared: bool = False, seconds: float = 0.0) -> Iterator[bool]:
        """Have `name` for this process while the block runs; gives False when another process still
        has it after `seconds`.

        `shared`: together with others who do so. What this process has already is had at once.
        Raises StageError when the database cannot be used.
        """
        with self._database.errors(f"turn of {name}"):
            is_mine = self._wait(name, shared, seconds)
        try:
            yield is_mine
        finally:
            if is_mine:
                self._release(name, shared)

    def confirm(self) -> None:
        """See that this process still has its turns, which a restart of the server takes away, and
        take them again.

        Raises StageError when another process took one meanwhile.
        """
        with self._database.errors("turns"), self._mutex:
            if self._turns:
                self._living()

    def holder(self, name: str) -> str:
        """Return in words which other process has `name`, "" when none has."""
        key = key_of(name)
        parts = {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
        with self._database.errors(f"turn of {name}"), self._database.connection() as connection:
            application = connection.execute(_HOLDER, parts).scalar()
        if application is None:
            return ""
        _, _, rest = str(application).partition(" ")
        process, _, machine = rest.partition(" ")
        return f"process {process} of the machine {machine}" if machine else str(application)

    def _wait(self, name: str, shared: bool, seconds: float) -> bool:
        started, has_spoken = time.monotonic(), False
        while True:
            with self._mutex:
                if self._turns[name, shared] or self._try(self._living(), name, shared):
                    self._turns[name, shared] += 1
                    return True
            waited = time.monotonic() - started
            if waited >= seconds:
                return False
            if waited >= _SECONDS_OF_SILENCE and not has_spoken:
                has_spoken = True
                _log.warning("Waiting for %s, which %s has.", name, self.holder(name) or "another")
            time.sleep(_PAUSE)

    def _release(self, name: str, shared: bool) -> None:
        with self._mutex:
            self._turns[name, shared] -= 1
            if self._turns[name, shared]:
                return
            del self._turns[name, shared]
            function = "pg_advisory_unlock_shared" if shared else "pg_advisory_unlock"
            # A connection that is gone has let go of everything.
            with suppress(SQLAlchemyError):
                if self._connection is not None:
                    self._connection.execute(text(f"SELECT {function}({key_of(name)})"))
            if not self._turns:
                self._close()

    def _living(self) -> Connection:
        """Return the connection that holds the turns, with all of them."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except SQLAlchemyError:
                self._close()
            else:
                return self._connection
        # Sees to the schema, and waits for a server that restarts.
        with self._database.connection():
            pass
        connection = self._database.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection = connection
        for name, shared in [turn for turn, count in self._turns.items() if count]:
            self._take_again(connection, name, shared)
        return connection

    def _take_again(self, connection: Connection, name: str, shared: bool) -> None:
        deadline = time.monotonic() + _SECONDS_OF_THE_GONE
        while not self._try(connection, name, shared):
            if time.monotonic() > deadline:
                raise StageError(
                    f"The connection to {self._database.name} was lost, and {name} went to "
                    f"{self.holder(name) or 'another process'} meanwhile. What was committed is "
                    "kept; run again when that has ended."
                )
            time.sleep(_PAUSE)

    @staticmethod
    def _try(connection: Connection, name: str, shared: bool) -> bool:
        function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
        return bool(connection.execute(text(f"SELECT {function}({key_of(name)})")).scalar())

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
            connection.close()
