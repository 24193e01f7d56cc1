"""Putting the labelled workbook where the user wants it, without ever destroying anything of
theirs.
"""

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.storage import Place, open_tables

OUTPUT_SUFFIXES = (".xlsx", ".xlsm", ".csv", ".parquet")
MACRO_SUFFIX = ".xlsm"
OWN_OUTPUT = re.compile(r"\.clustered(?:\.(\d+))?$")
MAX_NAMES = 1000
_TABLE = "CREATE TABLE IF NOT EXISTS deliveries (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL);"
_UNUSABLE = (
    "The record of delivered workbooks {path} cannot be used ({error}). Check that its folder can "
    "be written; a damaged record may be removed, workbooks that lie there already are then left "
    "as they are."
)


@dataclass(frozen=True)
class DeliveredFile:
    """Where the workbook was written, its sha256, and what to tell the user when that is not where
    they asked for it.
    """

    path: Path
    sha256: str
    message: str | None = None


def default_output(source: Path, category: str | None = None) -> Path:
    """Return where the labelled workbook goes when nobody says: `<name>.clustered.xlsx` beside the
    source, .xlsm for macros.

    `category`: the slug of one category of a workbook that holds several, which then is part of the
    name. An output of ours that is given as the source gets the next number:
    `<name>.clustered.2.xlsx`.

    Example:
        >>> str(default_output(Path("shop.csv"))), str(default_output(Path("shop.clustered.xlsx")))
        ('shop.clustered.xlsx', 'shop.clustered.2.xlsx')
    """
    suffix = MACRO_SUFFIX if source.suffix.lower() == MACRO_SUFFIX else ".xlsx"
    stem = source.name if source.is_dir() else source.stem
    ours = OWN_OUTPUT.search(stem)
    number = f".{int(ours[1] or 1) + 1}" if ours else ""
    stem = stem[: ours.start()] if ours else stem
    return source.parent / f"{stem}{'.' + category if category else ''}.clustered{number}{suffix}"


def check_output(source: Path, output: Path) -> None:
    """Raise InputError when `output` cannot be written or is the source itself; called before any
    work is done.
    """
    if output.suffix.lower() not in OUTPUT_SUFFIXES:
        raise InputError(
            f"The output {output} must end in one of {', '.join(OUTPUT_SUFFIXES)}. Give such a "
            f"name with --output."
        )
    if _is_same(source, output):
        raise InputError(
            f"The output {output} is the catalogue itself, which is never overwritten. Give "
            f"another name with --output."
        )
    if output.suffix.lower() == MACRO_SUFFIX != source.suffix.lower():
        raise InputError(
            f"{source.name} carries no macros, and Excel opens a file ending in .xlsm only with "
            f"some. Give the output {output.name} the ending .xlsx."
        )
    if source.suffix.lower() == MACRO_SUFFIX and output.suffix.lower() == ".xlsx":
        raise InputError(
            f"{source.name} carries macros, which Excel only opens in a file ending in .xlsm. Give "
            f"the output {output.name} that ending."
        )
    if output.is_dir():
        raise InputError(
            f"The output {output} is a folder. Give the name of a file in it with --output."
        )
    _check_folder(output)


def _is_same(source: Path, output: Path) -> bool:
    if output.exists() and source.exists():
        return source.samefile(output)
    return source.resolve() == output.resolve()


def _check_folder(output: Path) -> None:
    folder = output.absolute().parent
    if not folder.is_dir():
        raise InputError(
            f"The folder {folder} of the output does not exist. Create it, or give another place "
            f"with --output."
        )
    trial = folder / f".{output.name}.{uuid.uuid4().hex}.trial"
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(
            f"Nothing can be written to the folder {folder} of the output ({error.strerror}). "
            "Change its permissions, or give another place with --output."
        ) from error


def deliver_workbook(content: bytes, output: Path, source: Path, record: Place) -> DeliveredFile:
    """Write the workbook beside `output` and rename it into place.

    A file at `output` that this project did not write, or that somebody edited since, is left
    alone, and so is one that is open in Excel or LibreOffice: the workbook then goes to a second
    name, which later ones replace while nobody edits it, and the message says why. `record`: where
    it is kept what was written where. Raises InputError as `check_output` does, and StageError when
    the disk is full.
    """
    check_output(source, output)
    deliveries = _Deliveries(record)
    digest = hashlib.sha256(content).hexdigest()
    reason = _reason_to_keep(output, digest, deliveries)
    if reason is None:
        try:
            _write_beside(content, output)
        except PermissionError:
            reason = "it is open in another program, or may not be changed"
    message = None
    if reason is not None:
        asked, output = output, _second_name(output, digest, deliveries)
        _write_beside(content, output)
        message = (
            f"{asked} was left as it is, because {reason}. The new workbook is {output.name} "
            f"beside it."
        )
    deliveries.remember(output, digest)
    return DeliveredFile(output, digest, message)


def _reason_to_keep(output: Path, digest: str, deliveries: "_Deliveries") -> str | None:
    if not output.exists():
        return None
    if _lock_file(output) is not None:
        return "it is open in Excel or LibreOffice"
    present = hashlib.sha256(output.read_bytes()).hexdigest()
    written = deliveries.written(output)
    if present == digest or present in written:
        return None
    return (
        "somebody edited it since it was written"
        if written
        else "it was not written by this project"
    )


def _lock_file(output: Path) -> Path | None:
    """Return the file by which an office program shows that it has the workbook open."""
    marks = (output.with_name(f"~${output.name}"), output.with_name(f".~lock.{output.name}#"))
    return next((mark for mark in marks if mark.exists()), None)


def _second_name(output: Path, digest: str, deliveries: "_Deliveries") -> Path:
    """Return the latest numbered name that holds a file of ours as it was written, else the first
    free one.
    """
    numbered = [
        output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(2, MAX_NAMES)
    ]
    free = next((place for place, path in enumerate(numbered) if not path.exists()), None)
    if free is None:
        return output.with_name(f"{output.stem}-{datetime.now():%Y%m%d-%H%M%S}{output.suffix}")
    latest = numbered[free - 1] if free else None
    if latest is not None and _reason_to_keep(latest, digest, deliveries) is None:
        return latest
    return numbered[free]


def _write_beside(content: bytes, output: Path) -> None:
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
    except PermissionError:
        raise
    except OSError as error:
        raise StageError(
            f"The workbook could not be written to {output} ({error.strerror}). The result is "
            "kept: free some space or choose another place with --output, and run again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


class _Deliveries:
    """Remembers what was written where, so that a file that somebody edited is known."""

    def __init__(self, place: Place) -> None:
        self._tables = open_tables(
            place, _TABLE, _UNUSABLE, "record of delivered workbooks", is_replaceable=True
        )
        target = "path) DO UPDATE SET sha256 = excluded.sha256"
        if not isinstance(place, Path):
            target = "path, sha256) DO NOTHING"
        self._remember = f"INSERT INTO deliveries VALUES (?, ?) ON CONFLICT ({target}"

    def written(self, output: Path) -> set[str]:
        """Return what was written there: last by this home, or ever by machines of which each may
        have a file at that path.
        """
        with self._tables.reading() as connection:
            rows = connection.execute(
                "SELECT sha256 FROM deliveries WHERE path = ?", (str(output.resolve()),)
            ).fetchall()
        return {row[0] for row in rows}

    def remember(self, output: Path, digest: str) -> None:
        where = str(output.resolve())
        with self._tables.writing(where) as connection:
            connection.execute(self._remember, (where, digest))
