"""Corrections as files that people exchange: .xlsx, .csv, .json and edited labelled workbooks."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from clustering_pipeline.core.corrections import (
    COLUMNS,
    Correction,
    CorrectionError,
    Withdraw,
    as_row,
    parse_correction,
)
from clustering_pipeline.core.delimited import guarded, read_delimited, unguarded
from clustering_pipeline.core.errors import InputError, StageError

# A withdrawal names a row of one database, so that none is exchanged.
FILE_COLUMNS = tuple(column for column in COLUMNS if column != "withdrawn")
SUFFIXES = (".xlsx", ".csv", ".json")


def read_corrections_file(path: Path, author: str) -> list[Correction]:
    """Return the corrections of a file; `author` signs those that name nobody.

    Raises InputError when the file cannot be read or is no table of corrections, and for a row that
    says nothing.
    """
    readers = {".xlsx": _read_workbook, ".csv": _read_csv, ".json": _read_json}
    reader = readers[_suffix(path)]
    try:
        rows = reader(path.read_bytes())
    except (
        OSError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
        InvalidFileException,
    ) as error:
        raise InputError(
            f"The corrections in {path} cannot be read ({error}). Give an .xlsx, a CSV or a "
            f"JSON list with the columns {', '.join(FILE_COLUMNS)}."
        ) from error
    return [
        _correction(row, author, f"Correction {position} of {path.name}")
        for position, row in enumerate(rows, 1)
    ]


def write_corrections(path: Path, corrections: Sequence[Correction]) -> int:
    """Write corrections in the format that the file name asks for and return how many there are."""
    rows = [
        {column: cell for column, cell in as_row(correction).items() if column in FILE_COLUMNS}
        for correction in corrections
    ]
    writers = {".xlsx": _workbook_bytes, ".csv": _csv_bytes, ".json": _json_bytes}
    content = writers[_suffix(path)](rows)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StageError(
            f"The corrections cannot be written to {path} ({error.strerror}). Give a folder that "
            f"can be written."
        ) from error
    return len(rows)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path} is none of {', '.join(SUFFIXES)}. Give the corrections' file one of these "
            f"endings."
        )
    return suffix


def _correction(row: Mapping[str, Any], author: str, place: str) -> Correction:
    cells = {column: _text(row.get(column)) for column in FILE_COLUMNS}
    correction = parse_correction({**cells, "author": cells["author"] or author}, place)
    if isinstance(correction.statement, Withdraw):
        raise CorrectionError("is of the kind 'withdraw'", place)
    return correction


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _read_workbook(content: bytes) -> list[dict[str, Any]]:
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[
        0
    ]
    rows = list(sheet.iter_rows(values_only=True))
    header = _checked_header([_text(cell) for cell in rows[0]] if rows else [])
    return [
        dict(zip(header, row, strict=False))
        for row in rows[1:]
        if any(cell is not None for cell in row)
    ]


def _read_csv(content: bytes) -> list[dict[str, Any]]:
    header, rows = read_delimited(content, "the file").by_header()
    _checked_header(header)
    return [{column: unguarded(text) for column, text in row.items()} for row in rows]


def _read_json(content: bytes) -> list[dict[str, Any]]:
    rows = json.loads(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is not a list of objects")
    return rows


def _checked_header(header: list[str]) -> list[str]:
    if "kind" not in header:
        raise ValueError(f"it has the columns {', '.join(header) or 'none'} and no column kind")
    return header


def _workbook_bytes(rows: list[dict[str, Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "corrections"
    for values in [FILE_COLUMNS, *(tuple(row.values()) for row in rows)]:
        sheet.append(values)
    # A name that starts with "=" is a name, not a formula, also after somebody edited its cell.
    for cell in (cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)):
        cell.data_type, cell.quotePrefix = "s", guarded(cell.value) != cell.value
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _csv_bytes(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, FILE_COLUMNS)
    writer.writeheader()
    writer.writerows(
        {name: guarded(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in rows
    )
    return buffer.getvalue().encode("utf-8-sig")


def _json_bytes(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()
