"""The append-only table of corrections: same, different, name, keep, and the withdrawal of an
earlier one.
"""

from collections.abc import Callable, Iterable, Sequence
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

from clustering_pipeline.core.corrections import (
    COLUMNS,
    Correction,
    Name,
    RecordedCorrection,
    Statement,
    Withdraw,
    as_row,
    parse_recorded,
)
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import CORRECTIONS, conform
from clustering_pipeline.storage import Database, SharedDatabase

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


_Row = dict[str, object]


class CorrectionStore:
    """Corrections of every category in one table.

    Rows are only added; a mistake is withdrawn by another row.

    Threads, processes and, with PostgreSQL, machines may share the store.
    """

    def __init__(
        self, place: Path | str | SharedDatabase, recorded: Callable[[], None] | None = None
    ) -> None:
        """`place`: a SQLite file, created when missing, or an URL: `sqlite:///FILE`,
        `postgresql://USER@HOST/DATABASE`. `recorded` is called after every change.

        Raises InputError for an URL of another kind.
        """
        self._database = Database(place, _TABLES, "corrections", recorded)

    @property
    def place(self) -> str:
        """Where the corrections are: the file, or the address of the database without its
        password.
        """
        return self._database.name

    def add(self, corrections: Iterable[Correction]) -> list[int]:
        """Record corrections, all or none, and return their numbers; the time of those that have
        none is now.
        """
        with self._database.writing() as connection:
            return _add(connection, corrections)

    def undo(self, number: int, *, author: str) -> int:
        """Withdraw correction `number` and return the number of the withdrawal; raises InputError
        when it is not in force.
        """
        return self.undo_all([number], author=author)[0]

    def undo_all(self, numbers: Iterable[int], *, author: str) -> list[int]:
        """Withdraw corrections, all or none, and return the numbers of the withdrawals; raises
        InputError when one is not in force.
        """
        withdrawals = {number: Correction(Withdraw(number), author) for number in numbers}
        with self._database.writing() as connection:
            in_force = _numbers(_in_force(self._parsed(_rows(connection))))
            for number in withdrawals:
                if number not in in_force:
                    raise InputError(
                        f"There is no correction {number} in force, so it cannot be undone. See "
                        f"the history for its numbers."
                    )
            return _add(connection, withdrawals.values())

    def manifest(self, category: str | None = None) -> pd.DataFrame:
        """Return the CORRECTIONS manifest of `in_force(category)`, equal to the byte for equal
        corrections.
        """
        rows = self._all_rows()
        numbers = _numbers(_concerning(_in_force(self._parsed(rows)), category))
        frame = pd.DataFrame(
            [list(row.values()) for row in rows if row["number"] in numbers],
            columns=["number", *COLUMNS],
            dtype=object,
        )
        return conform(frame[CORRECTIONS.schema.names], CORRECTIONS)

    def in_force(self, category: str | None = None) -> list[RecordedCorrection]:
        """Return the corrections that were not withdrawn, the oldest first, with `category` only
        those that concern it.

        A correction without a category concerns every category that has its listings.
        """
        return _concerning(_in_force(self._parsed(self._all_rows())), category)

    def history(self) -> list[RecordedCorrection]:
        """Return every correction and withdrawal ever recorded, the oldest first."""
        return self._parsed(self._all_rows())

    def new(self, corrections: Iterable[Correction]) -> list[Correction]:
        """Return those corrections, each statement once, whose statements are not in force."""
        return _new(corrections, self.in_force())

    def add_new(self, corrections: Iterable[Correction]) -> list[int]:
        """Record those corrections whose statements are not in force, all or none, and return their
        numbers.
        """
        new = list(corrections)
        with self._database.writing() as connection:
            in_force = _in_force(self._parsed(_rows(connection)))
            return _add(connection, _new(new, in_force))

    def export_file(self, path: Path) -> int:
        """Write the corrections in force as .xlsx, .csv or .json and return how many there are."""
        # openpyxl, which reads and writes such files, is slow to load.
        from clustering_pipeline.review.files import write_corrections

        return write_corrections(Path(path), [recorded.correction for recorded in self.in_force()])

    def _all_rows(self) -> list[_Row]:
        with self._database.reading() as connection:
            return _rows(connection)

    def _parsed(self, rows: Iterable[_Row]) -> list[RecordedCorrection]:
        return parse_recorded(rows, self.place)


def _add(connection: Connection, corrections: Iterable[Correction]) -> list[int]:
    # So exact that what was recorded together can be told from what came after it.
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    recording = insert(_ROWS).returning(_ROWS.c.number)
    return [
        int(
            connection.execute(
                recording, {**as_row(correction), "time": correction.time or now}
            ).scalar_one()
        )
        for correction in corrections
    ]


def _rows(connection: Connection) -> list[_Row]:
    return [
        dict(row) for row in connection.execute(select(_ROWS).order_by(_ROWS.c.number)).mappings()
    ]


def _in_force(history: Sequence[RecordedCorrection]) -> list[RecordedCorrection]:
    withdrawn = {
        recorded.statement.number
        for recorded in history
        if isinstance(recorded.statement, Withdraw)
    }
    return [
        recorded
        for recorded in history
        if recorded.number not in withdrawn and not isinstance(recorded.statement, Withdraw)
    ]


def _concerning(
    corrections: Iterable[RecordedCorrection], category: str | None
) -> list[RecordedCorrection]:
    return [
        recorded
        for recorded in corrections
        if category is None or recorded.correction.category in (None, category)
    ]


def _numbers(corrections: Iterable[RecordedCorrection]) -> set[int]:
    return {recorded.number for recorded in corrections}


def _new(
    corrections: Iterable[Correction], in_force: Iterable[RecordedCorrection]
) -> list[Correction]:
    by_statement = {correction.statement: correction for correction in corrections}
    # Of the names of one cluster only the last one holds, so that an earlier one can be given
    # again.
    last = {
        (said.cluster_id if isinstance(said, Name) else said): said
        for said in (recorded.statement for recorded in in_force)
    }
    standing: set[Statement] = set(last.values())
    return [correction for said, correction in by_statement.items() if said not in standing]
