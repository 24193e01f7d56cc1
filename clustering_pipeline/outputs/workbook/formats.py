"""The labelled table in every format: the Excel workbook while it is put together, converted from
an older format where it has to be; CSV and Parquet for those who ask for it.
"""

import csv
import datetime
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl.cell import WriteOnlyCell

from clustering_pipeline.core.delimited import guarded
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.own_columns import OWN_COLUMNS, WorkbookLanguage
from clustering_pipeline.outputs.workbook.contents import Tabs
from clustering_pipeline.outputs.workbook.ooxml.added_sheet import (
    AddedSheet,
    choose_tab_names,
    place,
    put_sheet,
)
from clustering_pipeline.outputs.workbook.ooxml.parts import (
    UNWRITABLE,
    CellValue,
    WorkbookParts,
    cell_markup,
    within_cell,
)
from clustering_pipeline.outputs.workbook.ooxml.ranges import OwnColumns, widen_ranges
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import (
    MAX_HYPERLINKS,
    SheetAdditions,
    add_to_sheet,
    namespace_prefix,
    row_styles,
)
from clustering_pipeline.outputs.workbook.ooxml.styles import add_styles
from clustering_pipeline.outputs.workbook.placement import Placement, cell_value, place_columns
from clustering_pipeline.stages.catalogue import (
    EXACT_DIGITS,
    SelectedSheet,
    SheetTable,
    Table,
    cell_text,
    column_letters,
)

MAX_SHEET_NAME = 31
# What a cell in the general format shows as it is written: no leading or trailing zeros, at most 11
# characters.
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,4})\.\d{0,3}[1-9]|-?[1-9]\d{0,9}|0")
LOSSES = {
    "xls": "the .xls workbook was converted to .xlsx: values are kept; formulas, formats, "
    "pictures, charts and macros are not",
    "ods": "the .ods workbook was converted to .xlsx: values are kept; formulas, formats, pictures "
    "and charts are not",
}


def sheet_names(sheets: Sequence[SheetTable]) -> dict[str, str]:
    r"""Return a name that Excel accepts for every sheet: at most 31 characters, none of []:*?/\, no
    two alike.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for sheet in sheets:
        base = (
            re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", sheet.name).strip("' ")[:MAX_SHEET_NAME]
            or "Sheet"
        )
        name, number = base, 2
        while name.casefold() in taken:
            name, number = f"{base[: MAX_SHEET_NAME - 5]} ({number})", number + 1
        taken.add(name.casefold())
        names[sheet.name] = name
    return names


def to_workbook(table: Table, sheets: Sequence[SelectedSheet]) -> bytes:
    """Return an .xlsx workbook with the values of a table's sheets, named as `sheet_names` says.

    Text stays text whatever it begins with; a number that Excel could not keep to its last digit
    becomes text. A column of text that holds nothing but numbers becomes numbers where each looks
    the same as one, ids excepted: `sheets` tells them.
    """
    workbook = openpyxl.Workbook(write_only=True)
    names = sheet_names(table.sheets)
    numeric = {sheet.table.name: numeric_columns(sheet) for sheet in sheets}
    for sheet in table.sheets:
        worksheet = workbook.create_sheet(names[sheet.name])
        columns = numeric.get(sheet.name, frozenset())
        for row in sheet.rows:
            cells = (
                _as_number(value) if column in columns else value
                for column, value in enumerate(row)
            )
            worksheet.append([_cell(worksheet, value) for value in cells])
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def numeric_columns(sheet: SelectedSheet) -> frozenset[int]:
    """Return the columns (from 0) below the header whose text is numbers that a cell would show in
    the same way.
    """
    texts: dict[int, bool] = {}
    for row in sheet.table.rows[sheet.columns.header_row :]:
        for column, value in enumerate(row):
            if value != "":
                texts[column] = (
                    texts.get(column, True)
                    and isinstance(value, str)
                    and bool(PLAIN_NUMBER.fullmatch(value))
                )
    return frozenset(
        column
        for column, is_number in texts.items()
        if is_number and column != sheet.columns.identifier - 1
    )


def _as_number(value: Any) -> Any:
    if not isinstance(value, str) or not PLAIN_NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _cell(worksheet: Any, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, bool | datetime.date | datetime.time | datetime.timedelta):
        return value
    if isinstance(value, int | float) and abs(value) < 10**EXACT_DIGITS:
        return int(value) if float(value).is_integer() else value
    cell = WriteOnlyCell(
        worksheet,
        within_cell(UNWRITABLE.sub("", value if isinstance(value, str) else cell_text(value))),
    )
    cell.data_type = "s"
    return cell


class ExcelOutput:
    """A workbook that gets our columns on the sheets with listings, and our sheets after the user's
    own.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        table: Table,
        sheets: list[SelectedSheet],
        max_uncompressed_megabytes: int,
        language: WorkbookLanguage = "en",
    ) -> None:
        """`table`: what was read of `content`; `sheets`: those with listings.

        Tables of other kinds are converted first.
        """
        is_workbook = table.kind == "xlsx"
        self._parts = WorkbookParts(
            content if is_workbook else to_workbook(table, sheets), name, max_uncompressed_megabytes
        )
        self._styles = add_styles(self._parts)
        listing_tabs = (
            {sheet.name: sheet.name for sheet in table.sheets}
            if is_workbook
            else sheet_names(table.sheets)
        )
        first_rows = {
            listing_tabs[sheet.name]: [cell_text(value) for value in (sheet.rows or [[]])[0]]
            for sheet in table.sheets
        }
        self.tabs = Tabs(
            own=choose_tab_names(self._parts.tabs, first_rows),
            listings=listing_tabs,
            placements={sheet.table.name: place_columns(sheet, language) for sheet in sheets},
        )
        self._identifiers = {sheet.table.name: sheet.columns.identifier for sheet in sheets}
        self.remarks: list[str] = []

    def add_labels(self, labels: pd.DataFrame, cluster_rows: Mapping[int, int]) -> None:
        """Write the labels beside their listings; numbers in `cluster_rows` link to that row of the
        sheet Clusters.

        A sheet with more listings than Excel allows links has none. `remarks` gets what is said of
        tables and filters that leave our columns out.
        """
        for sheet, placement in self.tabs.placements.items():
            part = self._parts.sheets[self.tabs.listings[sheet]].part
            content = self._parts.read(part)
            rows = labels[labels["sheet"] == sheet]
            linked = cluster_rows if len(rows) <= MAX_HYPERLINKS else {}
            additions = self._additions(content, placement, rows, linked)
            self._parts.write(part, add_to_sheet(content, additions))
            own = OwnColumns(
                {number: placement.headers[name] for name, number in placement.columns.items()},
                placement.header_row,
                self._identifiers[sheet],
            )
            self.remarks += widen_ranges(self._parts, self.tabs.listings[sheet], own)

    def add_sheet(self, sheet: AddedSheet) -> None:
        """Write one of our own sheets."""
        put_sheet(self._parts, sheet, self._styles)

    def packed(self) -> bytes:
        """Return the bytes of the workbook."""
        return self._parts.packed()

    def _additions(
        self,
        content: bytes,
        placement: Placement,
        labels: pd.DataFrame,
        cluster_rows: Mapping[int, int],
    ) -> SheetAdditions:
        prefix = namespace_prefix(content)
        cells = self._header_cells(prefix, content, placement)
        links: dict[str, str] = {}
        number_column = placement.columns["cluster_id"]
        letters = column_letters(number_column)
        rows = labels["sheet_row"].astype(int)
        for row, values in zip(
            rows, labels[list(OWN_COLUMNS)].itertuples(index=False, name=None), strict=True
        ):
            by_column = {
                name: cell_value(name, value)
                for name, value in zip(OWN_COLUMNS, values, strict=True)
            }
            number = by_column["cluster_id"]
            if number in cluster_rows:
                links[f"{letters}{row}"] = place(
                    self.tabs.own["Clusters"], cluster_rows[int(str(number))]
                )
            cells[row] = {
                column: self._cell(
                    prefix,
                    row,
                    column,
                    by_column[name],
                    column == number_column and number in cluster_rows,
                )
                for name, column in placement.columns.items()
            }
        return SheetAdditions(cells, placement.widths, links)

    def _cell(self, prefix: str, row: int, column: int, value: CellValue, is_linked: bool) -> str:
        if value is None:
            return ""
        return cell_markup(
            prefix, row, column, value, self._styles.link if is_linked else self._styles.of(value)
        )

    def _header_cells(
        self, prefix: str, content: bytes, placement: Placement
    ) -> dict[int, dict[int, str]]:
        """Return the header cells, in the format of the header left of them, so that ours look like
        the user's.
        """
        row = placement.header_row
        if not row:
            return {}
        style = row_styles(content, row).get(min(placement.columns.values()) - 1, 0)
        return {
            row: {
                n: cell_markup(prefix, row, n, placement.headers[name], style)
                for name, n in placement.columns.items()
            }
        }


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
