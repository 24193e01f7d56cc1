"""The labelled table as CSV or Parquet, for those who ask for it."""

import csv
import io
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_pipeline.core.delimited import guarded
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_COLUMNS, WorkbookLanguage
from clustering_pipeline.outputs.workbook.ooxml.parts import CellValue, within_cell
from clustering_pipeline.outputs.workbook.placement import Placement, cell_value, place_columns
from clustering_pipeline.stages.catalogue import SelectedSheet, Table, cell_text

ARROW_TYPES = {
    "cluster_id": pa.int64(),
    "cluster_name": pa.string(),
    "cluster_size": pa.int64(),
    "is_representative": pa.bool_(),
    "confidence": pa.float64(),
    "status": pa.string(),
    "reason": pa.string(),
}


def to_csv(
    table: Table,
    sheets: list[SelectedSheet],
    labels: pd.DataFrame,
    language: WorkbookLanguage = "en",
) -> bytes:
    """Return the sheet with its labels as UTF-8 with a byte order mark, which Excel opens as it
    should: delimited as a CSV source is, with its line `sep=`, else by commas.

    The user's cells stay as they are; text of ours that a spreadsheet would take for a formula gets
    an apostrophe. Raises InputError when several sheets hold listings.
    """
    sheet = _only_sheet(sheets, "CSV")
    placement = place_columns(sheet, language)
    by_row = _values_by_row(labels)
    source = table.text
    buffer = io.StringIO(newline="")
    writer = csv.writer(
        buffer, delimiter=source.delimiter if source else ",", lineterminator="\r\n"
    )
    first = 1
    if source and source.has_separator_line:
        buffer.write(f"sep={source.delimiter}\r\n")
        first = 2
    for number, cells in enumerate(sheet.table.rows[first - 1 :], start=first):
        texts = [
            cell_text(value, sheet.table.details.numbers.get((number, column)))
            for column, value in enumerate(cells, 1)
        ]
        writer.writerow(_with_labels(texts, number, placement, by_row))
    return buffer.getvalue().encode("utf-8-sig")


def _only_sheet(sheets: list[SelectedSheet], form: str) -> SelectedSheet:
    if len(sheets) > 1:
        names = ", ".join(repr(sheet.table.name) for sheet in sheets)
        raise InputError(
            f"The listings are on {len(sheets)} sheets ({names}), which one {form} file cannot "
            "hold. Give an output that ends in .xlsx, or one sheet with catalogue.sheets."
        )
    return sheets[0]


def _values_by_row(labels: pd.DataFrame) -> dict[int, dict[str, CellValue]]:
    rows = labels[list(OWN_COLUMNS)].itertuples(index=False, name=None)
    return {
        int(number): {
            name: cell_value(name, value) for name, value in zip(OWN_COLUMNS, values, strict=True)
        }
        for number, values in zip(labels["sheet_row"], rows, strict=True)
    }


def _with_labels(
    texts: list[str], number: int, placement: Placement, by_row: dict[int, dict[str, CellValue]]
) -> Iterator[str]:
    ours = placement.headers if number == placement.header_row else by_row.get(number, {})
    added = {placement.columns[name]: _csv_text(value) for name, value in ours.items()}
    last = max(placement.columns.values())
    padded = [*texts, *[""] * (last - len(texts))]
    return (added.get(column, text) for column, text in enumerate(padded, start=1))


def _csv_text(value: CellValue) -> str:
    if value is None:
        return ""
    return within_cell(guarded(value)) if isinstance(value, str) else str(value)


def to_parquet(
    content: bytes,
    table: Table,
    sheets: list[SelectedSheet],
    labels: pd.DataFrame,
    language: WorkbookLanguage = "en",
) -> bytes:
    """Return the table with its labels as Parquet; columns of a Parquet source keep their types,
    others are text.

    Raises InputError when several sheets hold listings.
    """
    sheet = _only_sheet(sheets, "Parquet")
    source = pq.read_table(io.BytesIO(content)) if table.kind == "parquet" else _text_table(sheet)
    first = sheet.columns.header_row + 1
    placement = place_columns(sheet, language)
    by_row = _values_by_row(labels)
    for name in OWN_COLUMNS:
        values = [by_row.get(row, {}).get(name) for row in range(first, first + source.num_rows)]
        source = _set_column(source, placement.headers[name], pa.array(values, ARROW_TYPES[name]))
    buffer = io.BytesIO()
    pq.write_table(source, buffer, compression="zstd")
    return buffer.getvalue()


def _text_table(sheet: SelectedSheet) -> pa.Table:
    header = sheet.columns.headers
    rows = sheet.table.rows[sheet.columns.header_row :]
    numbers = sheet.table.details.numbers
    columns = [
        [
            cell_text(row[column], numbers.get((number, column + 1))) or None
            if column < len(row)
            else None
            for number, row in enumerate(rows, start=sheet.columns.header_row + 1)
        ]
        for column in range(len(header))
    ]
    return pa.table([pa.array(values, pa.string()) for values in columns], names=list(header))


def _set_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    position = table.schema.get_field_index(name)
    return (
        table.append_column(name, values)
        if position < 0
        else table.set_column(position, name, values)
    )
