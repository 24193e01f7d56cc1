"""One transaction on a SQLite file that is made when it is first needed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from clustering_pipeline.errors import StageError


@contextmanager
def transaction(path: Path, tables: str, purpose: str) -> Iterator[sqlite3.Connection]:
    """Give a connection of its own to the database at `path`, committed when the block ends without an error.

    `tables`: the script that makes what is missing; `purpose`: what the file holds, for the error.
    Raises StageError when the file is no database of ours or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.executescript(tables)
            with connection:
                yield connection
    except (OSError, sqlite3.DatabaseError) as error:
        raise StageError(
            f"The {purpose} in {path} cannot be used ({error}). Check that the file is a database of ours and that "
            "its folder can be written; nothing was changed."
        ) from error
