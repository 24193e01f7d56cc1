"""A sheet of our own, from rows to the parts of the package."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clustering_pipeline.core.own_columns import (
    OWN_SHEETS,
    free_sheet_name,
    is_own_sheet,
    plain_sheet_name,
)
from clustering_pipeline.outputs.workbook.ooxml.parts import (
    DECLARATION,
    DRAWING_TYPE,
    SHEET_TYPE,
    TABLE_TYPE,
    CellStyles,
    CellValue,
    Dialect,
    Share,
    WorkbookParts,
    attribute,
    cell_markup,
)
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import MAX_HYPERLINKS
from clustering_pipeline.outputs.workbook.ooxml.styles import ColumnStyle, add_column_styles
from clustering_pipeline.stages.catalogue import column_letters

# English metric units (ECMA-376 part 1, 20.1.10.16) and points of a pixel at 96 dots an inch.
EMU_PER_PIXEL = 9525
POINTS_PER_PIXEL = 0.75
PICTURE_MARGIN_PIXELS = 3
LINE_POINTS = 15
# The highest row that Excel opens.
MAX_ROW_POINTS = 409


@dataclass(frozen=True)
class Picture:
    """A JPEG of so many pixels that stands in a cell."""

    content: bytes
    width: int
    height: int


@dataclass
class AddedSheet:
    """The content of one of our sheets; rows and columns count from 1, the header is row 1.

    `inner_links`: cell to a place in the workbook such as "'Clusters'!A5". `outer_links`: cell to a
    web address. `formats`: the number format of the numbers in a column. `warned`: cells (row,
    column) of such columns that are shown as ones to look at. `table`: the name of the table that
    all of the sheet is.
    """

    name: str
    header: Sequence[str]
    rows: list[list[CellValue]]
    widths: Sequence[float]
    inner_links: Mapping[str, str] = field(default_factory=dict)
    outer_links: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[tuple[int, int], Picture] = field(default_factory=dict)
    wrapped: frozenset[int] = frozenset()
    bold_rows: frozenset[int] = frozenset()
    formats: Mapping[int, str] = field(default_factory=dict)
    warned: frozenset[tuple[int, int]] = frozenset()
    table: str | None = None


def choose_tab_names(
    tabs: Sequence[str], first_rows: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return the tab of each of our sheets: the one that an earlier run added, else a new name that
    the user has not taken.

    `tabs`: all there are. `first_rows`: the first row of every sheet with cells.
    """
    ours = {
        plain_sheet_name(name): name for name, row in first_rows.items() if is_own_sheet(name, row)
    }
    users = [name for name in tabs if name not in ours.values()]
    return {name: ours.get(name) or free_sheet_name(name, users) for name in OWN_SHEETS}


def place(sheet: str, row: int, column: int = 1) -> str:
    """Return the address of a cell on a sheet, as links within the workbook write it."""
    quoted = sheet.replace("'", "''")
    return f"'{quoted}'!{column_letters(column)}{row}"


def put_sheet(parts: WorkbookParts, sheet: AddedSheet, styles: CellStyles) -> None:
    """Write one of our sheets into the package, in the place of the one of that name where there is
    one.
    """
    part = (
        parts.sheets[sheet.name].part
        if sheet.name in parts.sheets
        else _new_sheet_part(parts, sheet.name)
    )
    parts.remove_links(part)
    drawing = _put_drawing(parts, part, sheet.pictures) if sheet.pictures else ""
    links = [*_inner_links(sheet), *_outer_links(parts, part, sheet)][:MAX_HYPERLINKS]
    table = _put_table(parts, part, sheet) if sheet.table and sheet.rows else ""
    marks = SheetMarks("".join(links), drawing, table, add_column_styles(parts, sheet.formats))
    parts.write(part, sheet_markup(sheet, styles, parts.dialect, marks))


@dataclass(frozen=True)
class SheetMarks:
    """What of a sheet lies in other parts: its links, drawing and table as elements, or "", and the
    formats of its columns of numbers.
    """

    links: str = ""
    drawing: str = ""
    table: str = ""
    formats: Mapping[int, ColumnStyle] = field(default_factory=dict)


NO_MARKS = SheetMarks()


def sheet_markup(
    sheet: AddedSheet, styles: CellStyles, dialect: Dialect, marks: SheetMarks = NO_MARKS
) -> bytes:
    """Return the XML of a sheet: header with filter, frozen."""
    last = f"{column_letters(len(sheet.header))}{len(sheet.rows) + 1}"
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width:g}" customWidth="1"/>'
        for number, width in enumerate(sheet.widths, start=1)
    )
    pieces = [
        f'{DECLARATION}<worksheet xmlns="{dialect.main}" xmlns:r="{dialect.relationships}">',
        f'<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr><dimension ref="A1:{last}"/>',
        '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" '
        'activePane="bottomLeft" state="frozen"/>',
        f"</sheetView></sheetViews><sheetFormatPr "
        f'defaultRowHeight="{LINE_POINTS}"/><cols>{columns}</cols><sheetData>',
        *_row_elements(sheet, styles, marks.formats),
        "</sheetData>",
        # A table has a filter of its own.
        "" if marks.table else f'<autoFilter ref="A1:{last}"/>',
        f"<hyperlinks>{marks.links}</hyperlinks>" if marks.links else "",
        '<pageSetup orientation="landscape" fitToHeight="0"/>',
        f"{marks.drawing}{marks.table}</worksheet>",
    ]
    return "".join(pieces).encode()


def _row_elements(
    sheet: AddedSheet, styles: CellStyles, formats: Mapping[int, ColumnStyle]
) -> Iterable[str]:
    linked = set(sheet.inner_links) | set(sheet.outer_links)
    header = (
        cell_markup(
            "", 1, number, text, formats[number].header if number in formats else styles.header
        )
        for number, text in enumerate(sheet.header, start=1)
    )
    yield f'<row r="1">{"".join(header)}</row>'
    heights = {row: picture.height for (row, _), picture in sheet.pictures.items()}
    for row, values in enumerate(sheet.rows, start=2):
        cells = "".join(
            cell_markup(
                "",
                row,
                column,
                value,
                _number_style(formats[column], (row, column) in sheet.warned)
                if column in formats and isinstance(value, int | float)
                else _style(sheet, row, column, value, styles, linked),
            )
            for column, value in enumerate(values, start=1)
            if value is not None
        )
        points = max(_picture_points(heights.get(row)), _text_points(sheet, values))
        height = f' ht="{points:g}" customHeight="1"' if points else ""
        yield f'<row r="{row}"{height}>{cells}</row>'


def _picture_points(pixels: int | None) -> float:
    return 0 if pixels is None else (pixels + 2 * PICTURE_MARGIN_PIXELS) * POINTS_PER_PIXEL


def _text_points(sheet: AddedSheet, values: Sequence[CellValue]) -> float:
    """Return the height that wrapped text needs, or 0 where a line is enough: LibreOffice does not
    make rows of a file higher by itself.
    """
    lines = max(
        (
            math.ceil(len(str(values[column - 1])) / sheet.widths[column - 1])
            for column in sheet.wrapped
            if column <= len(values) and values[column - 1] is not None
        ),
        default=1,
    )
    return min(lines * LINE_POINTS, MAX_ROW_POINTS) if lines > 1 else 0


def _number_style(column: ColumnStyle, is_warned: bool) -> int:
    return column.warned if is_warned else column.plain


def _style(
    sheet: AddedSheet, row: int, column: int, value: CellValue, styles: CellStyles, linked: set[str]
) -> int:
    if row in sheet.bold_rows:
        return styles.header
    if f"{column_letters(column)}{row}" in linked:
        return styles.link
    plain = styles.of(value)
    # What looks like a formula has to stay text when its cell is edited.
    if column not in sheet.wrapped or plain == styles.quoted_text:
        return plain
    return styles.wrapped_share if isinstance(value, Share) else styles.wrapped_text


def _inner_links(sheet: AddedSheet) -> list[str]:
    return [
        f"<hyperlink ref={attribute(cell)} location={attribute(target)}/>"
        for cell, target in sheet.inner_links.items()
    ]


def _outer_links(parts: WorkbookParts, part: str, sheet: AddedSheet) -> list[str]:
    identifiers = parts.add_outer_links(part, list(dict.fromkeys(sheet.outer_links.values())))
    return [
        f'<hyperlink ref={attribute(cell)} r:id="{identifiers[url]}"/>'
        for cell, url in sheet.outer_links.items()
    ]


def _put_table(parts: WorkbookParts, sheet_part: str, sheet: AddedSheet) -> str:
    part = parts.free_name("xl/tables/clustering{}.xml")
    last = f"{column_letters(len(sheet.header))}{len(sheet.rows) + 1}"
    columns = "".join(
        f'<tableColumn id="{number}" name={attribute(text)}/>'
        for number, text in enumerate(sheet.header, start=1)
    )
    number = parts.free_table_number()
    name = attribute(f"{sheet.table}{number}")
    parts.write(
        part,
        f'{DECLARATION}<table xmlns="{parts.dialect.main}" id="{number}" name={name} '
        f'displayName={name} ref="A1:{last}" totalsRowShown="0"><autoFilter ref="A1:{last}"/>'
        f'<tableColumns count="{len(sheet.header)}">{columns}</tableColumns>'
        '<tableStyleInfo name="TableStyleLight1" showFirstColumn="0" showLastColumn="0" '
        'showRowStripes="1" showColumnStripes="0"/></table>'.encode(),
    )
    parts.add_content_type(part, TABLE_TYPE)
    identifier = parts.add_link(sheet_part, "table", part)
    return f'<tableParts count="1"><tablePart r:id="{identifier}"/></tableParts>'


def _new_sheet_part(parts: WorkbookParts, name: str) -> str:
    part = parts.free_name("xl/worksheets/clustering{}.xml")
    parts.write(part, b"")
    parts.add_content_type(part, SHEET_TYPE)
    identifier = parts.add_link(parts.workbook_part, "worksheet", part)
    parts.add_tab(name, identifier)
    return part


def _put_drawing(
    parts: WorkbookParts, sheet_part: str, pictures: Mapping[tuple[int, int], Picture]
) -> str:
    part = parts.free_name("xl/drawings/clustering{}.xml")
    parts.write(part, b"")
    parts.add_content_type(part, DRAWING_TYPE)
    parts.add_default_type("jpeg", "image/jpeg")
    anchors = []
    images = parts.add_links(
        part, "image", [_put_image(parts, picture) for picture in pictures.values()]
    )
    for number, ((row, column), picture) in enumerate(pictures.items(), start=1):
        anchors.append(_anchor(number, row, column, picture, images[number - 1]))
    dialect = parts.dialect
    namespaces = (
        f'xmlns:xdr="{dialect.spreadsheet_drawing}" xmlns:a="{dialect.drawing}" '
        f'xmlns:r="{dialect.relationships}"'
    )
    parts.write(part, f"{DECLARATION}<xdr:wsDr {namespaces}>{''.join(anchors)}</xdr:wsDr>".encode())
    return f'<drawing r:id="{parts.add_link(sheet_part, "drawing", part)}"/>'


def _put_image(parts: WorkbookParts, picture: Picture) -> str:
    """Store a picture once, however many sheets show it."""
    existing = parts.pictures.get(picture.content)
    if existing is not None and existing in parts:
        return existing
    part = parts.free_name("xl/media/clustering{}.jpeg")
    parts.write(part, picture.content)
    parts.pictures[picture.content] = part
    return part


def _anchor(number: int, row: int, column: int, picture: Picture, identifier: str) -> str:
    margin = PICTURE_MARGIN_PIXELS * EMU_PER_PIXEL
    width, height = picture.width * EMU_PER_PIXEL, picture.height * EMU_PER_PIXEL
    return (
        f"<xdr:oneCellAnchor><xdr:from><xdr:col>{column - 1}</xdr:col>"
        f"<xdr:colOff>{margin}</xdr:colOff><xdr:row>{row - 1}</xdr:row>"
        f'<xdr:rowOff>{margin}</xdr:rowOff></xdr:from><xdr:ext cx="{width}" '
        f'cy="{height}"/><xdr:pic><xdr:nvPicPr>'
        f'<xdr:cNvPr id="{number + 1}" name="Picture {number}"/><xdr:cNvPicPr><a:picLocks '
        f'noChangeAspect="1"/></xdr:cNvPicPr>'
        f"</xdr:nvPicPr><xdr:blipFill><a:blip "
        f'r:embed="{identifier}"/><a:stretch><a:fillRect/></a:stretch></xdr:blipFill>'
        f'<xdr:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="{width}" '
        f'cy="{height}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/>'
        "</a:prstGeom></xdr:spPr></xdr:pic><xdr:clientData/></xdr:oneCellAnchor>"
    )
