"""Corrections as files that people exchange: .xlsx, .csv, .json and edited labelled workbooks."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl

from clustering_pipeline.core.corrections import (
    COLUMNS,
    Correction,
    CorrectionError,
    Withdraw,
    as_row,
    parse_correction,
)
from clustering_pipeline.core.delimited import guarded, unguarded
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import cell_text, read_table

# A withdrawal names a row of one database, so that none is exchanged.
FILE_COLUMNS = tuple(column for column in COLUMNS if column != "withdrawn")
SUFFIXES = (".xlsx", ".csv", ".json")
LONGEST_NAME, LONGEST_TEXT = 300, 4000
_TO_BE_CODED = re.compile(r"[\x01-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def read_corrections_file(path: Path, author: str, settings: CatalogueSettings) -> list[Correction]:
    """Return the corrections of a file; `author` signs those that name nobody.

    A table is read as catalogues are, so that an id is the text that it is there. Raises InputError
    when the file cannot be read, is over the limits of `settings` or is no table of corrections,
    and for a row that says nothing.
    """
    is_json = _suffix(path) == ".json"
    try:
        content = path.read_bytes()
        rows = _read_json(content) if is_json else _read_table(content, path.name, settings)
    except (OSError, ValueError, RecursionError) as error:
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
    cells = {column: _text(row.get(column), column, place) for column in FILE_COLUMNS}
    correction = parse_correction({**cells, "author": cells["author"] or author}, place)
    if isinstance(correction.statement, Withdraw):
        raise CorrectionError("is of the kind 'withdraw'", place)
    refuse_long(correction, place)
    return correction


def _text(value: object, column: str, place: str) -> str:
    if isinstance(value, bool | list | dict):
        raise CorrectionError(f"has a {column} that is neither text nor a number", place)
    return cell_text(value)


def refuse_long(correction: Correction, place: str = "A correction") -> None:
    """Raise CorrectionError for a text that no page or cell could show."""
    for column, text in as_row(correction).items():
        most = LONGEST_NAME if column == "name" else LONGEST_TEXT
        if isinstance(text, str) and len(text) > most:
            raise CorrectionError(f"has a {column} of more than {most:,} characters", place)


def _read_table(content: bytes, name: str, settings: CatalogueSettings) -> list[dict[str, Any]]:
    table = read_table(content, name, settings)
    if table.text is not None:
        header, rows = table.text.by_header()
        _check_header(header)
        return [{column: unguarded(text) for column, text in row.items()} for row in rows]
    sheet = table.sheets[0]
    written = sheet.details.numbers
    cells = [
        [cell_text(value, written.get((number, column))) for column, value in enumerate(row, 1)]
        for number, row in enumerate(sheet.rows, 1)
    ]
    header, *below = cells or [[]]
    _check_header(header)
    return [dict(zip(header, row, strict=False)) for row in below if any(row)]


def _read_json(content: bytes) -> list[dict[str, Any]]:
    rows = json.loads(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is not a list of objects")
    return rows


def _check_header(header: list[str]) -> None:
    if "kind" not in header:
        told = ", ".join(header)[:LONGEST_NAME]
        raise ValueError(f"it has the columns {told or 'none'} and no column kind")
    twice = [column for column in FILE_COLUMNS if header.count(column) > 1]
    if twice:
        raise ValueError(f"it has the column {twice[0]} twice")


def _workbook_bytes(rows: list[dict[str, Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "corrections"
    for values in [FILE_COLUMNS, *(tuple(row.values()) for row in rows)]:
        sheet.append([_coded(cell) if isinstance(cell, str) else cell for cell in values])
    # A name that starts with "=" is a name, not a formula, also after somebody edited its cell.
    for cell in (cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)):
        cell.data_type, cell.quotePrefix = "s", guarded(cell.value) != cell.value
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _coded(text: str) -> str:
    """Return text as Office Open XML writes it where XML has no way to (ECMA-376, ST_Xstring)."""
    return _TO_BE_CODED.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


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
