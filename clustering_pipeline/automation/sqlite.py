"""SQLite the way Dagster uses it: a connection per event, which would wait for the disk at every one of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any


@contextmanager
def quick_commits() -> Iterator[None]:
    """Let commits of this process reach the disk in the background while the block runs.

    A database in write-ahead mode stays whole when the machine stops; at worst the last events are not in it. One idle
    connection per file keeps SQLite from folding the log into the database whenever Dagster closes its only one.
    """
    # Kept out of the import of the definitions, which has to be fast.
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    idle: dict[str, sqlite3.Connection] = {}

    def prepare(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path and path not in idle and (kept := _in_write_ahead_mode(path)):
            idle[path] = kept

    event.listen(Engine, "connect", prepare)
    try:
        yield
    finally:
        event.remove(Engine, "connect", prepare)
        for connection in idle.values():
            connection.close()


def _in_write_ahead_mode(path: str) -> sqlite3.Connection | None:
    connection = sqlite3.connect(path, check_same_thread=False)
    with closing(connection.execute("PRAGMA journal_mode")) as cursor:
        mode = cursor.fetchone()[0]
    if mode == "wal":
        connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        return connection
    connection.close()
    return None
