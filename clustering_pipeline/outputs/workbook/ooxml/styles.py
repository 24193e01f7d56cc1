"""The cell formats of our columns, appended to the workbook's own style sheet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clustering_pipeline.outputs.workbook.ooxml.parts import (
    DECLARATION,
    STYLES_TYPE,
    CellStyles,
    WorkbookParts,
    attribute,
    insert_before_end,
)
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import namespace_prefix

BARE_STYLES = (
    DECLARATION + '<styleSheet xmlns="{main}">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill '
    'patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" '
    'xfId="0"/></cellXfs></styleSheet>'
)
LINK_FONT = (
    '<font><u/><sz val="11"/><color rgb="FF0563C1"/><name val="Calibri"/><family val="2"/></font>'
)
HEADER_FONT = (
    '<font><b/><sz val="11"/><color rgb="FFFFFFFF"/><name val="Calibri"/><family val="2"/></font>'
)
HEADER_FILL = (
    '<fill><patternFill patternType="solid"><fgColor rgb="FF1F4E79"/><bgColor '
    'indexed="64"/></patternFill></fill>'
)
INDENTED = 'indent="1"'
# Built-in number formats (ECMA-376 part 1, 18.8.30).
GENERAL, WHOLE, TWO_DECIMALS, PERCENT, TEXT = 0, 1, 2, 9, 49
DAY = "yyyy\\-mm\\-dd"
WARNING_FILL = (
    '<fill><patternFill patternType="solid"><fgColor rgb="FFFBECCB"/><bgColor '
    'indexed="64"/></patternFill></fill>'
)
FIRST_OWN_FORMAT = 164
# Excel shows truth values in words whatever their format, LibreOffice as the numbers that they are.
TRUTH = '"TRUE";"TRUE";"FALSE"'


def add_styles(parts: WorkbookParts) -> CellStyles:
    """Append our formats to the style sheet, which is made when there is none, and return their
    indices.

    A format that an earlier run appended is used again.
    """
    sheet = _StyleSheet(parts)
    link, header = sheet.add("fonts", LINK_FONT), sheet.add("fonts", HEADER_FONT)
    fill = sheet.add("fills", HEADER_FILL)
    styles = CellStyles(
        whole_number=sheet.add_format(WHOLE, align="center"),
        fraction=sheet.add_format(TWO_DECIMALS, align="center"),
        share=sheet.add_format(PERCENT, align="center"),
        day=sheet.add_format(sheet.add_number_format(DAY), align="center"),
        truth=sheet.add_format(sheet.add_number_format(TRUTH), align="center"),
        text=sheet.add_format(GENERAL),
        quoted_text=sheet.add_format(TEXT, extra='quotePrefix="1" '),
        wrapped_text=sheet.add_format(GENERAL, align="left", wrap='wrapText="1"'),
        wrapped_share=sheet.add_format(PERCENT, align="left"),
        link=sheet.add_format(WHOLE, font=link, align="center"),
        header=sheet.add_format(GENERAL, font=header, fill=fill),
    )
    sheet.save()
    return styles


@dataclass(frozen=True)
class ColumnStyle:
    """The formats of a column of numbers: its header, its cells, and those to look at."""

    header: int
    plain: int
    warned: int


def add_column_styles(parts: WorkbookParts, formats: Mapping[int, str]) -> dict[int, ColumnStyle]:
    """Append formats for columns of numbers and return them by column.

    `formats`: column number to number format.
    """
    if not formats:
        return {}
    sheet = _StyleSheet(parts)
    font, fill = sheet.add("fonts", HEADER_FONT), sheet.add("fills", HEADER_FILL)
    warning = sheet.add("fills", WARNING_FILL)
    header = sheet.add_format(GENERAL, font=font, fill=fill, align="right", wrap=INDENTED)
    styles = {}
    for column, code in formats.items():
        number = sheet.add_number_format(padded(code))
        plain = sheet.add_format(number, align="right")
        styles[column] = ColumnStyle(
            header, plain, sheet.add_format(number, fill=warning, align="right")
        )
    sheet.save()
    return styles


def padded(code: str) -> str:
    """Return a number format that leaves the room of a digit at the right: LibreOffice does not
    indent numbers, so that they would touch the text of the next column.

    Example:
        >>> padded("+0%;-0%;0%")
        '+0%_0;-0%_0;0%_0'
    """
    return ";".join(f"{section}_0" for section in code.split(";"))


class _StyleSheet:
    """The style sheet of a workbook under change."""

    def __init__(self, parts: WorkbookParts) -> None:
        self._parts = parts
        links = parts.links(parts.workbook_part)
        part = next(
            (link.target for link in links if link.kind == "styles" and link.target in parts), None
        )
        self._part = part or _add_bare_styles(parts)
        self._content = parts.read(self._part)
        self._prefix = namespace_prefix(self._content)

    def save(self) -> None:
        self._parts.write(self._part, self._content)

    def add_format(
        self,
        number_format: int,
        *,
        font: int = 0,
        fill: int = 0,
        align: str = "general",
        wrap: str = "",
        extra: str = "",
    ) -> int:
        """Return the index of a cell format, appending it when it is not there; `align` is
        horizontal.
        """
        attributes = (
            f'numFmtId="{number_format}" fontId="{font}" fillId="{fill}" borderId="0" '
            f'xfId="0" applyNumberFormat="1" {extra}'
        )
        alignment = f'<alignment horizontal="{align}" vertical="center" {wrap}'.rstrip() + "/>"
        return self.add(
            "cellXfs",
            f'<xf {attributes}applyFont="1" applyFill="1" applyAlignment="1">{alignment}</xf>',
        )

    def add_number_format(self, code: str) -> int:
        """Return the number of a number format that is not built in, appending it when it is not
        there.
        """
        quoted = attribute(code)
        formats = re.findall(rb'<(?:\w+:)?numFmt\b[^>]*\bnumFmtId="(\d+)"[^>]*', self._content)
        existing = re.search(
            rb'<(?:\w+:)?numFmt\b[^>]*\bnumFmtId="(\d+)"[^>]*\bformatCode=%b'
            % re.escape(quoted.encode()),
            self._content,
        )
        if existing:
            return int(existing[1])
        number = max([FIRST_OWN_FORMAT, *(int(own_number) + 1 for own_number in formats)])
        if b"numFmts" not in self._content:
            root = re.search(rb"<(?:\w+:)?styleSheet\b[^>]*>", self._content)
            assert root is not None
            empty = f'<{self._prefix}numFmts count="0"></{self._prefix}numFmts>'.encode()
            self._content = self._content[: root.end()] + empty + self._content[root.end() :]
        self.add("numFmts", f'<numFmt numFmtId="{number}" formatCode={quoted}/>')
        return number

    def add(self, collection: str, element: str) -> int:
        """Return the index of `element` in a collection of the style sheet, appending it when it is
        not there.
        """
        markup = re.sub(r"<(/?)(?=[a-z])", rf"<\1{self._prefix}", element).encode()
        name = f"{self._prefix}{collection}".encode()
        match = re.search(rb"<%b\b[^>]*>(.*?)</%b\s*>" % (name, name), self._content, re.DOTALL)
        existing = _children(match[1]) if match else []
        if markup in existing:
            return existing.index(markup)
        self._content = insert_before_end(self._content, markup, collection)
        self._content = re.sub(
            rb'(<%b\b[^>]*\bcount=")\d+"' % name,
            rb'\g<1>%d"' % (len(existing) + 1),
            self._content,
            count=1,
        )
        return len(existing)


def _children(content: bytes) -> list[bytes]:
    """Return the direct children of a style collection, which never contain one of their own
    kind.
    """
    first = re.match(rb"\s*<((?:\w+:)?\w+)", content)
    if first is None:
        return []
    name = first[1]
    return re.findall(
        rb"<%b\b(?:[^>]*/>|(?:[^>]*[^/>])?>.*?</%b\s*>)" % (name, name), content, re.DOTALL
    )


def _add_bare_styles(parts: WorkbookParts) -> str:
    part = "xl/styles.xml" if "xl/styles.xml" not in parts else parts.free_name("xl/styles{}.xml")
    parts.write(part, BARE_STYLES.format(main=parts.dialect.main).encode())
    parts.add_link(parts.workbook_part, "styles", part)
    parts.add_content_type(part, STYLES_TYPE)
    return part
