"""Tables in a file of this home, or in the database that several machines share."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from clustering_pipeline.storage.local_database import LocalDatabase

if TYPE_CHECKING:
    from clustering_pipeline.storage.shared_database import SharedDatabase, SharedTables

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
    from clustering_pipeline.storage.shared_database import SharedTables

    return SharedTables(place, purpose)
