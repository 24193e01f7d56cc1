"""Corrections as files that people exchange: .xlsx, .csv, .json and edited labelled workbooks."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from openpyxl.utils.exceptions import InvalidFileException

from clustering_pipeline.core.errors import InputError, StageError

FILE_COLUMNS = (
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
)
SUFFIXES = (".xlsx", ".csv", ".json")


def read_statements(path: Path, author: str) -> list[dict[str, object]]:
    """Return the statements of a file as mappings from column to value; `author` signs those that
    name none.

    Raises InputError when the file cannot be read or is no table of statements.
    """
    readers = {".xlsx": _read_workbook, ".csv": _read_csv, ".json": _read_json}
    reader = readers[_suffix(path)]
    try:
        rows = reader(path.read_bytes())
    except (
        OSError,
        ValueError,
        KeyError,
        csv.Error,
        zipfile.BadZipFile,
        InvalidFileException,
    ) as error:
        raise InputError(
            f"The corrections in {path} cannot be read ({error}). Give an .xlsx, a CSV in UTF-8 or "
            f"a JSON list with the columns {', '.join(FILE_COLUMNS)}."
        ) from error
    return [_statement(row, author, path, position) for position, row in enumerate(rows, 1)]


def write_statements(path: Path, statements: pd.DataFrame) -> int:
    """Write statements (columns `FILE_COLUMNS`) as the format that the file name asks for and
    return how many there are.
    """
    rows = [
        {column: row[column] for column in FILE_COLUMNS} for row in statements.to_dict("records")
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


def _statement(row: Mapping[str, Any], author: str, path: Path, position: int) -> dict[str, object]:
    texts = {column: _text(row.get(column)) for column in FILE_COLUMNS}
    statement: dict[str, object] = {column: text for column, text in texts.items() if text}
    statement.setdefault("author", author)
    if number := texts["cluster_id"]:
        try:
            statement["cluster_id"] = int(float(number))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{path}: correction {position} has the cluster_id {number!r}. Give the number of "
                f"a cluster."
            ) from error
    return statement


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
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    rows.fieldnames = _checked_header([column.strip() for column in rows.fieldnames or ()])
    return list(rows)


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
    # A name that starts with "=" is a name, not a formula.
    for cell in (cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)):
        cell.data_type = "s"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _csv_bytes(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, FILE_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8-sig")


def _json_bytes(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()
