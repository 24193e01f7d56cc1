"""The append-only table of corrections: same, different, name, keep, and the withdrawal of an
earlier one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    event,
    insert,
    select,
)

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import CORRECTIONS, conform
from clustering_pipeline.review.files import read_statements, write_statements
from clustering_pipeline.storage import Database

SAME, DIFFERENT, NAME, KEEP, WITHDRAW = "same", "different", "name", "keep", "withdraw"
COLUMNS = (
    "kind",
    "id_a",
    "image_a",
    "id_b",
    "image_b",
    "cluster_id",
    "name",
    "category",
    "author",
    "time",
    "withdrawn",
)
_TABLES = MetaData()
_ROWS = Table(
    "corrections",
    _TABLES,
    Column(
        "number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("kind", Text, nullable=False),
    *(Column(name, Text) for name in ("id_a", "image_a", "id_b", "image_b")),
    Column("cluster_id", BigInteger),
    *(Column(name, Text) for name in ("name", "category")),
    *(Column(name, Text, nullable=False) for name in ("author", "time")),
    Column("withdrawn", BigInteger),
    sqlite_autoincrement=True,
)
_REFUSALS = {
    "sqlite": (
        "CREATE TRIGGER corrections_stay BEFORE UPDATE ON corrections BEGIN SELECT RAISE(ABORT, "
        "'corrections are only ever added'); END",
        "CREATE TRIGGER corrections_last BEFORE DELETE ON corrections BEGIN SELECT RAISE(ABORT, "
        "'corrections are only ever added'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION corrections_stay() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'corrections are only ever added'; END $$",
        "CREATE TRIGGER corrections_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON corrections "
        "FOR EACH STATEMENT EXECUTE FUNCTION corrections_stay()",
    ),
}
for _dialect, _statements in _REFUSALS.items():
    for _statement in _statements:
        event.listen(_ROWS, "after_create", DDL(_statement).execute_if(dialect=_dialect))


@dataclass(frozen=True)
class ListingReference:
    """A listing by its `product_base_id` and, where the id has several pictures, the sha256 of one
    of them.
    """

    product_base_id: str
    image_sha256: str | None = None


class CorrectionStore:
    """Corrections of every category in one table.

    Rows are only added; a mistake is withdrawn by another row.

    Threads, processes and, with PostgreSQL, machines may share the store.
    """

    def __init__(self, place: Path | str) -> None:
        """`place`: a SQLite file, created when missing, or an URL: `sqlite:///FILE`,
        `postgresql://USER@HOST/DATABASE`.

        Raises InputError for an URL of another kind.
        """
        self._database = Database(place, _TABLES, "corrections")

    @property
    def place(self) -> str:
        """Where the corrections are: the file, or the address of the database without its
        password.
        """
        return self._database.name

    def same(
        self,
        a: str | ListingReference,
        b: str | ListingReference,
        *,
        author: str,
        category: str | None = None,
    ) -> int:
        """Record that two listings show one product and return the number of the statement."""
        return self._record_pair(SAME, a, b, author, category)

    def different(
        self,
        a: str | ListingReference,
        b: str | ListingReference,
        *,
        author: str,
        category: str | None = None,
    ) -> int:
        """Record that two listings show two products and return the number of the statement."""
        return self._record_pair(DIFFERENT, a, b, author, category)

    def name(self, cluster_id: int, name: str, *, author: str, category: str | None = None) -> int:
        """Record what people call a cluster and return the number of the statement."""
        return self.add(
            [
                {
                    "kind": NAME,
                    "cluster_id": cluster_id,
                    "name": name,
                    "category": category,
                    "author": author,
                }
            ]
        )[0]

    def keep(self, a: str | ListingReference, *, author: str, category: str | None = None) -> int:
        """Record that a listing's pictures are to be kept whatever their quality; returns the
        number of the statement.
        """
        kept = a if isinstance(a, ListingReference) else ListingReference(a)
        statement = {"kind": KEEP, "id_a": kept.product_base_id, "image_a": kept.image_sha256}
        return self.add([{**statement, "category": category, "author": author}])[0]

    def undo(self, number: int, *, author: str) -> int:
        """Withdraw statement `number` and return the number of the withdrawal; raises InputError
        when it is not in force.
        """
        withdrawal = _checked({"kind": WITHDRAW, "withdrawn": number, "author": author}, 1)
        with self._database.writing() as connection:
            if number not in set(_in_force(_history(connection))["number"]):
                raise InputError(
                    f"There is no correction {number} in force, so it cannot be undone. See the "
                    f"history for its numbers."
                )
            return _add(connection, [withdrawal])[0]

    def add(self, statements: Iterable[Mapping[str, object]]) -> list[int]:
        """Record statements (mappings from column to value; `time` is now when absent) all or none;
        returns their numbers.

        Raises InputError for a statement that says nothing: no author, no id, one listing with
        itself, an empty name.
        """
        rows = [_checked(statement, position) for position, statement in enumerate(statements, 1)]
        with self._database.writing() as connection:
            return _add(connection, rows)

    def read(self, category: str | None = None) -> pd.DataFrame:
        """Return the CORRECTIONS manifest of the statements in force, with `category` only those
        that concern it.

        A statement without a category concerns every category that has its listings.
        """
        in_force = _in_force(self.history())
        if category is not None:
            in_force = in_force[in_force["category"].isna() | (in_force["category"] == category)]
        return conform(in_force[CORRECTIONS.schema.names], CORRECTIONS)

    def history(self, limit: int | None = None) -> pd.DataFrame:
        """Return every row ever added, the newest last, at most the `limit` newest ones; columns
        `number` and `COLUMNS`.
        """
        with self._database.reading() as connection:
            return _history(connection, limit)

    def import_file(self, path: Path, *, author: str = "import") -> int:
        """Add the statements of an .xlsx, .csv or .json file and return how many were new.

        `author` signs those that name none.
        """
        return len(self.add_new(read_statements(Path(path), author)))

    def new(self, statements: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
        """Return those statements, each once, that are not in force word for word; raises
        InputError as `add` does.
        """
        return _new(statements, self.history())

    def add_new(self, statements: Iterable[Mapping[str, object]]) -> list[int]:
        """Record those statements that are not in force word for word, all or none; returns their
        numbers.

        Raises InputError as `add` does.
        """
        given = list(statements)
        with self._database.writing() as connection:
            return _add(connection, _new(given, _history(connection)))

    def export_file(self, path: Path) -> int:
        """Write the statements in force as .xlsx, .csv or .json and return how many there are."""
        in_force = self.read()
        return write_statements(
            Path(path), self.history().set_index("number").loc[list(in_force["number"])]
        )

    def _record_pair(
        self,
        kind: str,
        a: str | ListingReference,
        b: str | ListingReference,
        author: str,
        category: str | None,
    ) -> int:
        first, second = (
            reference if isinstance(reference, ListingReference) else ListingReference(reference)
            for reference in (a, b)
        )
        pair = {
            "id_a": first.product_base_id,
            "image_a": first.image_sha256,
            "id_b": second.product_base_id,
            "image_b": second.image_sha256,
        }
        return self.add([{"kind": kind, **pair, "author": author, "category": category}])[0]


def _add(connection: Connection, rows: Sequence[Mapping[str, object]]) -> list[int]:
    statement = insert(_ROWS).returning(_ROWS.c.number)
    return [int(connection.execute(statement, row).scalar_one()) for row in rows]


def _history(connection: Connection, limit: int | None = None) -> pd.DataFrame:
    rows = connection.execute(select(_ROWS).order_by(_ROWS.c.number.desc()).limit(limit)).fetchall()
    history = pd.DataFrame(
        [tuple(row) for row in rows[::-1]], columns=["number", *COLUMNS], dtype=object
    )
    return history.where(history.notna(), None)


def _in_force(history: pd.DataFrame) -> pd.DataFrame:
    withdrawn = set(history["withdrawn"].dropna().astype(int))
    return history[(history["kind"] != WITHDRAW) & ~history["number"].isin(withdrawn)]


# What makes two statements one and the same, whoever made them and when.
_IDENTITY = ("kind", "id_a", "image_a", "id_b", "image_b", "cluster_id", "name")


def _identity(statement: Mapping[str, object]) -> tuple[str, ...]:
    values = [statement.get(column) for column in _IDENTITY]
    return tuple("" if value is None or value is pd.NA else str(value) for value in values)


def _new(
    statements: Iterable[Mapping[str, object]], history: pd.DataFrame
) -> list[Mapping[str, object]]:
    given = {
        _identity(statement): _checked(statement, place)
        for place, statement in enumerate(statements, 1)
    }
    rows = _in_force(history)[list(_IDENTITY)].itertuples(index=False, name=None)
    held = [dict(zip(_IDENTITY, row, strict=True)) for row in rows]
    # Of the names of one cluster only the last one holds, so that an earlier one can be given
    # again.
    last = {
        (row["cluster_id"] if row["kind"] == NAME else _identity(row)): _identity(row)
        for row in held
    }
    return [row for identity, row in given.items() if identity not in set(last.values())]


def _checked(statement: Mapping[str, object], position: int) -> dict[str, object]:
    unknown = set(statement) - set(COLUMNS)
    problem = f"has the unknown columns {sorted(unknown)}" if unknown else _problem(statement)
    if problem:
        raise InputError(
            f"Correction {position} {problem}. A correction is same or different with two listings "
            "(id_a, id_b and, if an id has several pictures, image_a, image_b), keep with one "
            "(id_a), or name with a cluster_id and a name; nothing was recorded."
        )
    time = statement.get("time") or datetime.now(UTC).isoformat(timespec="seconds")
    return {
        column: time if column == "time" else statement.get(column) or None for column in COLUMNS
    }


def _problem(statement: Mapping[str, object]) -> str | None:
    kind = statement.get("kind")
    if kind not in (SAME, DIFFERENT, NAME, KEEP, WITHDRAW):
        return f"is of the kind {kind!r}"
    if not statement.get("author"):
        return "has no author"
    if any(isinstance(value, str) and "\0" in value for value in statement.values()):
        return "has a text with a NUL character"
    if kind == NAME:
        named = (
            statement.get("name")
            and isinstance(statement.get("cluster_id"), int)
            and int(str(statement["cluster_id"])) > 0
        )
        return None if named else "has no name or no positive cluster_id"
    if kind == KEEP:
        return (
            None
            if statement.get("id_a") and not statement.get("id_b")
            else "does not name one listing"
        )
    return _pair_problem(statement) if kind in (SAME, DIFFERENT) else None


def _pair_problem(statement: Mapping[str, object]) -> str | None:
    sides: Sequence[tuple[object, object]] = [
        (statement.get(f"id_{side}"), statement.get(f"image_{side}")) for side in "ab"
    ]
    if not all(identifier for identifier, _ in sides):
        return "lacks one of its two listings"
    return "compares a listing with itself" if sides[0] == sides[1] else None
