"""Small tables and pictures that unfold to many times their size, as somebody who means harm would
send them.

None is larger than a few megabytes. Each returns bytes; tables come with the suffix that they are
sent under.
"""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

_NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_LINKS = "http://schemas.openxmlformats.org/package/2006/relationships"
LONG = "a" * 30_000
_IN_ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body>'
    '<office:spreadsheet><table:table table:name="S">'
)
_HEADERS = ("product_base_id", "url_thumbnail")
# What the most pixels that are decoded look like, and half of them, which searches take.
LARGEST, LARGEST_QUERY = (10_000, 8_000), (8_000, 4_990)


def shared_strings(rows: int) -> bytes:
    """Return a workbook whose cells share one text of 30,000 letters."""
    cells = (_row(number, _shared("A", number), _shared("B", number)) for number in _below(rows))
    return workbook([_sheet(cells)], [LONG])


def far_cells(sheets: int) -> bytes:
    """Return a workbook of sheets with a listing each, and a cell a million rows below."""
    far = _row(999_990, '<c r="BF999990"><v>1</v></c>')
    return workbook(_sheet([_listing(2), far]) for _ in range(sheets))


def short_texts(rows: int, columns: int = 100) -> bytes:
    """Return a workbook of cells with two letters each."""
    row = "<row>" + '<c t="s"><v>0</v></c>' * columns + "</row>"
    return workbook([_sheet(repeat(row, rows))], ["ab"])


def errors(rows: int, columns: int = 100) -> bytes:
    """Return a workbook of cells with an error each."""
    row = "<row>" + '<c t="e"><v>#N/A</v></c>' * columns + "</row>"
    return workbook([_sheet(repeat(row, rows))])


def long_headers(rows: int, columns: int = 30) -> bytes:
    """Return a workbook whose headers have 1,000 letters each, and a digit in each cell below."""
    names = "".join(_text(f"{number:03}" + LONG[:1000]) for number in range(columns))
    head = f"<row>{''.join(map(_text, _HEADERS))}{names}</row>"
    row = f"<row>{_text('1')}{_text('http://127.0.0.1/a.jpg')}{'<c><v>1</v></c>' * columns}</row>"
    return workbook([_sheet(repeat(row, rows), head)])


def merged_cells(count: int) -> bytes:
    """Return a workbook with so many merged cells."""
    merged = repeat('<mergeCell ref="D1:E1"/>', count)
    return workbook(
        [_sheet([_listing(2)], tail=chain(["<mergeCells>"], merged, ["</mergeCells>"]))]
    )


def unused_texts(count: int) -> bytes:
    """Return a workbook with so many texts that no cell shows."""
    return workbook([_sheet([_listing(2)])], repeat("a", count))


def spaces(megabytes: int) -> bytes:
    """Return a workbook whose sheet has megabytes of spaces in it."""
    return workbook([_sheet(repeat(" " * 2**20, megabytes))])


def repeated_cells(rows: int, text: str = LONG) -> bytes:
    """Return an .ods whose 50 cells of a text are repeated for so many rows."""
    head = "".join(map(_ods_cell, _HEADERS))
    cell = _ods_cell(text, " table:number-columns-repeated='50'")
    body = (
        f"{_IN_ODS}<table:table-row>{head}</table:table-row>"
        f"<table:table-row table:number-rows-repeated='{rows}'>{cell}</table:table-row>"
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", body)
    return buffer.getvalue()


def _ods_cell(text: str, repeats: str = "") -> str:
    return (
        f"<table:table-cell office:value-type='string'{repeats}><text:p>{text}</text:p>"
        "</table:table-cell>"
    )


def dictionary(rows: int, *, as_category: bool = False, nested: bool = False) -> bytes:
    """Return a Parquet whose rows share one text of 30,000 letters."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LONG]))
    table = pa.table({"id": pa.array(range(rows)), "image": values})
    if nested:
        table = pa.table({"id": [1], "image": pa.ListArray.from_arrays([0, rows], values)})
    return _parquet(table, store_schema=as_category or nested)


def rows_of_nothing(rows: int) -> bytes:
    """Return a Parquet with so many rows of two columns that hold nothing."""
    return _parquet(pa.table({name: pa.nulls(rows) for name in _HEADERS}))


def blank_lines(count: int) -> bytes:
    """Return a .csv of a listing and so many lines without anything."""
    return b"product_base_id,url_thumbnail\n1,http://127.0.0.1/a.jpg\n" + b"\n" * count


def short_fields(count: int) -> bytes:
    """Return a .csv of a listing and a line of so many fields of two letters."""
    return b"product_base_id,url_thumbnail\n1,http://127.0.0.1/a.jpg\n" + b"ab," * count


TABLES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cells that share a long text": (".xlsx", lambda: shared_strings(200_000)),
    "the same just below the limit of characters": (".xlsx", lambda: shared_strings(1_300)),
    "a cell far below and right": (".xlsx", lambda: far_cells(1)),
    "the same on ten sheets": (".xlsx", lambda: far_cells(10)),
    "20 million cells of two letters": (".xlsx", lambda: short_texts(200_000)),
    "20 million errors": (".xlsx", lambda: errors(200_000)),
    "headers of 1,000 letters over 100,000 rows": (".xlsx", lambda: long_headers(100_000)),
    "15 million merged cells": (".xlsx", lambda: merged_cells(15_000_000)),
    "25 million texts that no cell shows": (".xlsx", lambda: unused_texts(25_000_000)),
    "500 MB of spaces": (".xlsx", lambda: spaces(500)),
    "repeated cells of a long text": (".ods", lambda: repeated_cells(10_000)),
    "50 million repeated cells of a letter": (".ods", lambda: repeated_cells(999_990, "ab")),
    "rows that share a long text": (".parquet", lambda: dictionary(300_000)),
    "30 million rows of nothing": (".parquet", lambda: rows_of_nothing(30_000_000)),
    "15 million blank lines": (".csv", lambda: blank_lines(15_000_000)),
    "5 million fields of two letters": (".csv", lambda: short_fields(5_000_000)),
}  # fmt: skip


def workbook(sheets: Iterable["Sheet"], shared: Iterable[str] = ()) -> bytes:
    """Return an .xlsx of sheets, each given as pieces of its XML, and of texts that cells share."""
    sheets = list(sheets)
    targets = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(len(sheets))]
    names = "".join(f'<sheet name="S{n}" r:id="r{n}"/>' for n in range(len(sheets)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        )
        archive.writestr("_rels/.rels", _links(("officeDocument", "xl/workbook.xml")))
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_NAMESPACE}" xmlns:r="r"><sheets>{names}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            _links(*targets, ("sharedStrings", "sharedStrings.xml")),
        )
        for number, sheet in enumerate(sheets):
            _write(archive, f"xl/worksheets/sheet{number}.xml", sheet)
        texts = (f"<si><t>{text}</t></si>" for text in shared)
        _write(
            archive,
            "xl/sharedStrings.xml",
            chain([f'<sst xmlns="{_NAMESPACE}">'], _joined(texts), ["</sst>"]),
        )
    return buffer.getvalue()


Sheet = Iterable[str]


def _sheet(rows: Iterable[str], head: str = "", tail: Iterable[str] = ()) -> Iterator[str]:
    head = head or f"<row>{''.join(map(_text, _HEADERS))}</row>"
    yield f'<worksheet xmlns="{_NAMESPACE}"><sheetData>{head}'
    yield from _joined(rows)
    yield "</sheetData>"
    yield from _joined(tail)
    yield "</worksheet>"


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """Yield many small pieces as few large ones."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > 2**20:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def _write(archive: zipfile.ZipFile, part: str, pieces: Iterable[str]) -> None:
    with archive.open(part, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece.encode())


def _links(*links: tuple[str, str]) -> str:
    written = "".join(
        f'<Relationship Id="r{number}" Type="{_KIND}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(links)
    )
    return f'<Relationships xmlns="{_LINKS}">{written}</Relationships>'


def _below(rows: int) -> range:
    return range(2, rows + 2)


def _row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def _shared(column: str, row: int) -> str:
    return f'<c r="{column}{row}" t="s"><v>0</v></c>'


def _text(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


def _listing(row: int) -> str:
    return _row(row, _text(f"p{row}"), _text("http://127.0.0.1/a.jpg"))


def _parquet(table: pa.Table, **options: bool) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def transparent(size: tuple[int, int]) -> bytes:
    """Return a PNG with transparency."""
    return _encoded(Image.new("RGBA", size, (10, 200, 30, 128)), "PNG")


def palette(size: tuple[int, int]) -> bytes:
    """Return a PNG of a palette with a transparent colour."""
    return _encoded(Image.new("P", size), "PNG", transparency=0)


def deep(size: tuple[int, int]) -> bytes:
    """Return a PNG of 16 bits."""
    return _encoded(Image.fromarray(np.zeros(size[::-1], np.uint16)), "PNG")


def animated(size: tuple[int, int]) -> bytes:
    """Return a GIF of white frames."""
    frames = [Image.new("P", size) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.putpalette([255, 255, 255, 0, number, 0])
        frame.putpixel((number, 0), 1)
    return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def scans(size: tuple[int, int], count: int = 600) -> bytes:
    """Return a progressive JPEG of so many scans."""
    content = _encoded(Image.new("L", size), "JPEG", progressive=True, quality=1)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + content[-2:]


def flat(size: tuple[int, int]) -> bytes:
    """Return a JPEG of one colour."""
    return _encoded(Image.new("RGB", size, (200, 30, 60)), "JPEG", quality=1)


def beyond(size: tuple[int, int]) -> bytes:
    """Return a PNG that says it is a hundred times as large as it is."""
    content = bytearray(_encoded(Image.new("1", size), "PNG"))
    content[16:24] = b"".join((side * 10).to_bytes(4, "big") for side in size)
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


PICTURES: dict[str, Callable[[tuple[int, int]], bytes]] = {
    "transparency": transparent,
    "a palette with transparency": palette,
    "16 bits": deep,
    "white frames": animated,
    "600 scans": scans,
    "one colour": flat,
    "a header that lies": beyond,
}


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
