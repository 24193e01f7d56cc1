"""Bytes of any supported table format as sheets of cells, whatever the file's name says.

As text, identifiers are exactly as written, everything else as a person would read it.
"""

import datetime
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine as calamine

from clustering_pipeline.core.delimited import DelimitedText, read_delimited
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.security import ConfinedError, confined
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue.embedded_images import folder_paths
from clustering_pipeline.stages.catalogue.formats.other_details import (
    CONTENT_PART,
    document_details,
    old_workbook_details,
)
from clustering_pipeline.stages.catalogue.formats.sheet_details import (
    SheetDetails,
    check_new,
    sheet_details,
    workbook_facts,
)
from clustering_pipeline.stages.catalogue.formats.sheets import (
    WorkbookPackage,
    damaged,
    password_protected,
    worksheets,
)

EXACT_DIGITS = 15
SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+?\d{2,3}$")
# Excel keeps 15 digits of a number that is typed; a 64-bit float has 17 at most.
FLOAT_DIGITS = 17
ERRORS = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
)
ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
FOLDER_SHEET = "pictures"
FOLDER_HEADER = ("product_base_id", "file")
PARQUET_MAGIC = b"PAR1"
# How far a table may unfold, in bytes and in times its own size, before it is tried in a process of
# its own; what that may use for each byte of the file, and seconds.
UNFOLDED_BYTES, UNFOLDED_TIMES = 64 * 2**20, 24
TRIED_TIMES, TRIED_SECONDS = 32, 600.0
# What a reader takes for a cell that nothing is in.
CELL_BYTES = 40
# What trying a Parquet file may use, and rows that are tried at once.
PARQUET_MEGABYTES = 1024
PARQUET_SECONDS = 120.0
PARQUET_ROWS = 1024
MOST_BYTES_A_CHARACTER = 4
ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
# What a web page, a PDF or a picture begins with: files that are often saved under a table's name.
OTHER_FILES = {
    b"%PDF": "a PDF document",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1f\x8b": "a gzip archive",
}


# With which element a page begins that a shop or a program saved under a table's name.
PAGE = re.compile(
    r"<(?:!doctype|!--|\?xml|html|head|body|meta|title|style|script|table|div|center|font|workbook)\b"
    r"|<!--",
    re.IGNORECASE,
)
UNREAD_PICTURES = (
    "the pictures that lie in this .ods workbook are not read: save it as .xlsx, or give their "
    "addresses"
)


@dataclass
class SheetTable:
    """One sheet: `rows[i]` are the cells of row i + 1 from column A on; rows may differ in
    length.
    """

    name: str
    rows: list[list[Any]]
    details: SheetDetails = field(default_factory=SheetDetails)


@dataclass(frozen=True)
class Table:
    """A table file: its kind (`xlsx`, `xls`, `ods`, `csv`, `parquet`, `folder`), its sheets,
    remarks on how it was read, the package that pictures in its cells lie in, and how a `csv` is
    delimited.
    """

    kind: str
    sheets: list[SheetTable]
    remarks: tuple[str, ...] = ()
    package: WorkbookPackage | None = None
    text: DelimitedText | None = None


Details = dict[str, SheetDetails]
Scan = Callable[[bytes, str, CatalogueSettings], Details]


def table_kind(content: bytes) -> str:
    """Return what the bytes are, by their content: `xlsx`, `ods`, `xls`, `parquet` or `csv`."""
    if content.startswith(PARQUET_MAGIC):
        return "parquet"
    if content.startswith(OLE_MAGIC):
        return "xls"
    if not content.startswith((ZIP_MAGIC, EMPTY_ZIP_MAGIC)):
        return "csv"
    parts = _part_names(content)
    return "ods" if CONTENT_PART in parts else "xlsx"


def _part_names(content: bytes) -> set[str]:
    try:
        return set(zipfile.ZipFile(io.BytesIO(content)).namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        # Opening it as a workbook says what is wrong with it.
        return set()


def read_table(content: bytes, name: str, settings: CatalogueSettings) -> Table:
    """Return the sheets of a table file named `name`, recognised by its content.

    Raises InputError when it is empty, protected, damaged, of another kind, or over the limits of
    `settings`.
    """
    paths = folder_paths(content)
    if paths is not None:
        return Table(
            "folder",
            [SheetTable(FOLDER_SHEET, [list(FOLDER_HEADER), *([path, path] for path in paths)])],
        )
    kind = table_kind(content)
    if kind == "csv":
        _refuse_other_files(content, name)
        check_characters(name, len(content) // MOST_BYTES_A_CHARACTER, settings)
        text = read_delimited(content, name, settings.max_rows)
        sheet = SheetTable(PurePath(name).stem, text.rows)
        return _within_limits(Table(kind, [sheet], text.remarks, text=text), name, settings)
    readers = {"parquet": _read_parquet, "xlsx": _read_xlsx, "ods": _read_ods, "xls": _read_xls}
    return _within_limits(readers[kind](content, name, settings), name, settings)


def unfolds(unpacked: int, content: bytes) -> bool:
    """Whether so many bytes are far more than a file that is no trap would unfold to."""
    return unpacked > max(UNFOLDED_BYTES, UNFOLDED_TIMES * len(content))


def _read_sheets(
    scan: Scan, unpacked: int, content: bytes, name: str, settings: CatalogueSettings
) -> list[SheetTable]:
    """Return the sheets of a workbook that unpacks to so many bytes, whose details `scan` returns.

    What unfolds to many times its size is read in a process with a limit of memory first; raises
    InputError when it needs more than it may have.
    """
    is_large = unfolds(unpacked, content)
    if is_large:
        _try(scan, content, name, settings)
    details = scan(content, name, settings)
    cells = sum(sheet.last_row * sheet.last_column for sheet in details.values())
    if not is_large and unfolds(CELL_BYTES * cells, content):
        _try(scan, content, name, settings)
    return _read_calamine(content, name, details)


def _try(scan: Scan, content: bytes, name: str, settings: CatalogueSettings) -> None:
    own = len(content) / 2**20
    megabytes = settings.max_unfolded_megabytes + int(TRIED_TIMES * own)
    try:
        confined(_scan_and_read, megabytes, TRIED_SECONDS, scan, content, name, settings)
    except ConfinedError as error:
        raise InputError(
            f"{name} has {own:,.1f} MB and unfolds to many times that: {error}. Delete stray cells "
            f"far from the table and columns that repeat one text, copy the table into a new "
            f"workbook and give that, or raise catalogue.max_unfolded_megabytes."
        ) from error


def _scan_and_read(scan: Scan, content: bytes, name: str, settings: CatalogueSettings) -> None:
    _read_calamine(content, name, scan(content, name, settings))


def _refuse_other_files(content: bytes, name: str) -> None:
    described = next(
        (text for magic, text in OTHER_FILES.items() if content.startswith(magic)), None
    )
    if PAGE.match(_beginning(content)):
        raise InputError(
            f"{name} is a web page or XML document under the name of a table. Open it in Excel or "
            "LibreOffice, save it as .xlsx, and give that file."
        )
    if described:
        raise InputError(
            f"{name} is {described}, not a table. Give an .xlsx, .xlsm, .xls, .ods, .csv, .tsv or "
            ".parquet file."
        )


def _beginning(content: bytes) -> str:
    """Return the first letters of a text whatever its encoding, without a mark and blanks before
    them.
    """
    plain = content[:2048].replace(b"\0", b"").decode("latin-1")
    return plain.lstrip("\xef\xbb\xbf\xff\xfe \t\r\n")[:200]


def _within_limits(table: Table, name: str, settings: CatalogueSettings) -> Table:
    rows = sum(len(sheet.rows) for sheet in table.sheets)
    _check_rows(name, rows, len(table.sheets), settings)
    if not any(any(row) for sheet in table.sheets for row in sheet.rows):
        raise InputError(
            f"{name} is empty: no sheet has a filled cell. Give the workbook that lists the "
            f"products."
        )
    return table


def _read_xlsx(content: bytes, name: str, settings: CatalogueSettings) -> Table:
    package = WorkbookPackage(content, name, settings.max_uncompressed_megabytes)
    package.verify()
    sheets = _read_sheets(_xlsx_details, package.unpacked, content, name, settings)
    return Table("xlsx", sheets, package=package)


def _xlsx_details(content: bytes, name: str, settings: CatalogueSettings) -> Details:
    package = WorkbookPackage(content, name, settings.max_uncompressed_megabytes)
    facts = workbook_facts(package)
    details: Details = {}
    for sheet in worksheets(package)[: settings.max_sheets + 1]:
        check_new(name, sheet.name, details)
        details[sheet.name] = sheet_details(package, sheet, facts)
        check_size(name, details, settings)
    return details


def check_size(name: str, details: Details, settings: CatalogueSettings) -> None:
    """Raise InputError when the rows, the used rectangles or the characters of sheets, by their
    names, are together over the limits.
    """
    spans = {sheet: facts.last_row * facts.last_column for sheet, facts in details.items()}
    cells = sum(spans.values())
    if cells > settings.max_cells:
        largest = max(spans, key=lambda sheet: spans[sheet])
        raise InputError(
            f"The sheets of {name} span {cells:,} cells, {largest!r} alone {spans[largest]:,}, "
            f"over the limit of {settings.max_cells:,}. Delete the stray cells far below or right "
            "of the table, or raise catalogue.max_cells."
        )
    check_characters(name, sum(sheet.characters for sheet in details.values()), settings)
    rows = sum(sheet.last_row for sheet in details.values())
    _check_rows(name, rows, len(details), settings)


def _check_rows(name: str, rows: int, sheets: int, settings: CatalogueSettings) -> None:
    if rows > settings.max_rows or sheets > settings.max_sheets:
        raise InputError(
            f"{name} has {sheets:,} sheets with {rows:,} rows, over the limits of "
            f"{settings.max_sheets:,} and {settings.max_rows:,}. Split it, or raise "
            "catalogue.max_sheets and catalogue.max_rows."
        )


def check_characters(name: str, characters: int, settings: CatalogueSettings) -> None:
    """Raise InputError when the cells of a table hold more than the limit, each counted alone."""
    if characters > settings.max_characters:
        raise InputError(
            f"The cells of {name} hold {characters:,} characters or more, over the limit of "
            f"{settings.max_characters:,}. Delete columns of long texts, or raise "
            "catalogue.max_characters."
        )


def _read_ods(content: bytes, name: str, settings: CatalogueSettings) -> Table:
    package = WorkbookPackage(content, name, settings.max_uncompressed_megabytes)
    package.verify()
    remarks = (
        (UNREAD_PICTURES,) if any(part.startswith("Pictures/") for part in package.names) else ()
    )
    sheets = _read_sheets(_ods_details, package.unpacked, content, name, settings)
    return Table("ods", sheets, remarks)


def _ods_details(content: bytes, name: str, settings: CatalogueSettings) -> Details:
    package = WorkbookPackage(content, name, settings.max_uncompressed_megabytes)
    return document_details(package, lambda sheets: check_size(name, sheets, settings))


def _read_xls(content: bytes, name: str, settings: CatalogueSettings) -> Table:
    if ENCRYPTED_STREAM in content:
        raise password_protected(name)
    return Table("xls", _read_sheets(_xls_details, len(content), content, name, settings))


def _xls_details(content: bytes, name: str, settings: CatalogueSettings) -> Details:
    return old_workbook_details(content, name, lambda sheets: check_size(name, sheets, settings))


def _read_calamine(content: bytes, name: str, details: dict[str, SheetDetails]) -> list[SheetTable]:
    try:
        with calamine.load_workbook(io.BytesIO(content)) as workbook:
            names = [
                sheet.name
                for sheet in workbook.sheets_metadata
                if sheet.typ == calamine.SheetTypeEnum.WorkSheet
            ]
            return [_calamine_sheet(workbook, sheet, details.get(sheet)) for sheet in names]
    except calamine.PasswordError as error:
        raise password_protected(name) from error
    except (calamine.CalamineError, OSError) as error:
        raise damaged(name, error) from error
    except BaseException as error:
        # A damaged file may make calamine's Rust code panic, which reaches Python outside of
        # Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise damaged(name, ValueError("its structure is broken")) from error


def _calamine_sheet(
    workbook: calamine.CalamineWorkbook, name: str, details: SheetDetails | None
) -> SheetTable:
    sheet = workbook.get_sheet_by_name(name)
    indent = [""] * (sheet.start[1] if sheet.start else 0)
    details = details or SheetDetails()
    if not details.merged:
        details.merged = [
            (a + 1, b + 1, c + 1, d + 1) for (a, b), (c, d) in sheet.merged_cell_ranges or ()
        ]
    return SheetTable(
        name, [indent + row for row in sheet.iter_rows()] if sheet.start else [], details
    )


def _read_parquet(content: bytes, name: str, settings: CatalogueSettings) -> Table:
    try:
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    except (pa.ArrowException, OSError) as error:
        raise damaged(name, error) from error
    sheet = SheetDetails(last_row=metadata.num_rows, last_column=metadata.num_columns)
    check_size(name, {PurePath(name).stem: sheet}, settings)
    try:
        # A page says of itself how far it unfolds, and may lie: a process with a limit tries it.
        size = confined(
            parquet_bytes, PARQUET_MEGABYTES, PARQUET_SECONDS, content, settings.max_characters
        )
    except ConfinedError as error:
        raise InputError(
            f"{name} cannot be read: {error}. Save it as .xlsx or .csv, or in parts."
        ) from error
    if size is None:
        raise damaged(name, ValueError("its pages cannot be read"))
    check_characters(name, size, settings)
    table = pq.read_table(io.BytesIO(content))
    columns = [[_parquet_cell(value) for value in column.to_pylist()] for column in table.columns]
    rows = [list(table.column_names), *map(list, zip(*columns, strict=True))]
    return Table("parquet", [SheetTable(PurePath(name).stem, rows)])


def parquet_bytes(content: bytes, most: int) -> int | None:
    """Return the bytes that the values of a Parquet file take once they are unfolded, counted until
    they are more than `most`; None when it is damaged.
    """
    total = 0
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        for batch in file.iter_batches(PARQUET_ROWS, use_threads=False):
            total += sum(map(_unfolded, batch.columns))
            if total > most:
                break
    except MemoryError:
        raise
    except (pa.ArrowException, OSError):
        return None
    return total


def _unfolded(column: pa.Array) -> int:
    """Return the bytes of a column's values, a text that rows share counted for each."""
    if pa.types.is_dictionary(column.type):
        return int(column.dictionary_decode().nbytes)
    if pa.types.is_struct(column.type):
        return sum(map(_unfolded, column.flatten()))
    is_list = any(
        is_kind(column.type)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )
    return _unfolded(column.flatten()) if is_list else int(column.nbytes)


def _parquet_cell(value: Any) -> Any:
    if isinstance(value, list):
        return "\n".join(str(item) for item in value if item is not None)
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    return "" if value is None else value


def cell_text(value: Any, exact: str | None = None) -> str:
    """Return a cell's value as text; `exact` is the number as the file writes it, where a float
    would have lost digits.

    Whole numbers have no decimal point, dates are ISO 8601, text is stripped of surrounding white
    space.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if exact is not None:
        return plain_number(exact)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return plain_number(repr(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value).strip()


def plain_number(digits: str) -> str:
    """Return a number without exponent and without a fraction of zeros: "1.23E+17" becomes
    "123000000000000000".
    """
    if digits.isdigit():
        return digits
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return digits
    if not number.is_finite() or number.adjusted() > 40:
        return digits
    if number == number.to_integral_value():
        return str(int(number))
    return format(number.normalize(), "f")


def identifier_doubt(value: Any, text: str) -> str | None:
    """Return why an identifier may not be the one that was meant, or None."""
    if isinstance(value, str) and SCIENTIFIC.match(text):
        return f"the id {text} was written in scientific notation, so its last digits are lost"
    if isinstance(value, datetime.date):
        return f"the id {text} is a date: Excel turned what was typed into one"
    if isinstance(value, int | float) and text.isdigit() and _looks_rounded(text):
        return (
            f"the id {text} is a number of more than {EXACT_DIGITS} digits that was rounded, so "
            f"its last digits are lost"
        )
    return None


def _looks_rounded(digits: str) -> bool:
    significant = len(digits.rstrip("0"))
    return len(digits) > EXACT_DIGITS >= significant or len(digits) > FLOAT_DIGITS >= significant
