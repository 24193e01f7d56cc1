"""Where the sheets of an .xlsx or .xlsm workbook lie in its package."""

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from xml.etree import ElementTree

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats.packages import WorkbookPackage, damaged

CELL_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})$")
BINARY_WORKBOOK = "xl/workbook.bin"
COLUMN = re.compile(r"[A-Za-z]{1,3}")
RELATIONSHIPS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


@dataclass(frozen=True)
class Relationship:
    """A link from one part to another, or to an outside address."""

    identifier: str
    kind: str
    target: str
    is_external: bool


@dataclass(frozen=True)
class SheetPart:
    """A worksheet: the name on its tab, its part in the package, and whether it is shown."""

    name: str
    part: str
    is_hidden: bool


def parse_xml(package: WorkbookPackage, part: str) -> ElementTree.Element:
    """Return the root element of an XML part; raises InputError when it is not well-formed."""
    try:
        return ElementTree.fromstring(package.read_xml(part))
    except ElementTree.ParseError as error:
        raise damaged(package.name, error) from error


def local_name(tag: str) -> str:
    """Return an element's or attribute's name without its namespace."""
    return tag.rsplit("}", 1)[-1]


def relationships_part(part: str) -> str:
    """Return the name of the part that holds the links of `part`; of the package itself for ""."""
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def relationships(package: WorkbookPackage, part: str) -> list[Relationship]:
    """Return the links that `part` has, their targets as names of parts where they stay within the
    package.
    """
    rels = relationships_part(part)
    if rels not in package:
        return []
    return [
        _relationship(element, part) for element in parse_xml(package, rels).iter(RELATIONSHIPS)
    ]


def _relationship(element: ElementTree.Element, part: str) -> Relationship:
    target = element.get("Target", "")
    is_external = element.get("TargetMode") == "External"
    if not is_external:
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(part), target)).lstrip(
            "/"
        )
    return Relationship(
        element.get("Id", ""), element.get("Type", "").rsplit("/", 1)[-1], target, is_external
    )


def workbook_part(package: WorkbookPackage) -> str:
    """Return the name of the part that lists the sheets; raises InputError when the archive is no
    Excel workbook.
    """
    for link in relationships(package, ""):
        if link.kind == "officeDocument" and link.target.endswith(".xml"):
            return link.target
    if BINARY_WORKBOOK in package:
        raise InputError(
            f"{package.name} is a binary .xlsb workbook. Open it in Excel, save it as .xlsx, and "
            f"give that file."
        )
    raise damaged(package.name, ValueError("it is a zip archive without a workbook in it"))


def worksheets(package: WorkbookPackage) -> list[SheetPart]:
    """Return the worksheets in the order of their tabs; chart and dialog sheets are left out."""
    part = workbook_part(package)
    targets = {link.identifier: link for link in relationships(package, part)}
    found = []
    for element in parse_xml(package, part).iter():
        if local_name(element.tag) == "sheet":
            identifier = next(
                (value for key, value in element.attrib.items() if local_name(key) == "id"), ""
            )
            link = targets.get(identifier)
            if link is not None and link.kind == "worksheet" and link.target in package:
                found.append(
                    SheetPart(
                        element.get("name", ""),
                        link.target,
                        element.get("state", "visible") != "visible",
                    )
                )
    return found


@lru_cache(maxsize=20_000)
def column_number(letters: str) -> int:
    """Return the number of a column, from 1: "A" is 1, "AA" is 27; raises ValueError for what is no
    column.
    """
    if not COLUMN.fullmatch(letters):
        raise ValueError(f"{letters!r} is no column")
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def reference_column(reference: str) -> int:
    """Return the column number of a cell reference such as "B7"; raises ValueError."""
    return column_number(reference.rstrip("0123456789"))


def cell_position(reference: str) -> tuple[int, int]:
    """Return (row, column) of a reference such as "B7", both from 1; raises ValueError."""
    found = CELL_REFERENCE.match(reference)
    if not found:
        raise ValueError(f"{reference!r} is no cell reference")
    return int(found[2]), column_number(found[1])


def range_corners(reference: str) -> tuple[int, int, int, int]:
    """Return (first row, first column, last row, last column) of "B2:C9" or of a single cell;
    raises ValueError.
    """
    first, _, last = reference.partition(":")
    return *cell_position(first), *cell_position(last or first)
