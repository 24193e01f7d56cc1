"""The zip package of an Excel or OpenDocument workbook, and where the sheets of an .xlsx or .xlsm
workbook lie in it.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from xml.etree import ElementTree

from clustering_pipeline.core.errors import InputError

# What reading a part of a damaged archive raises; zipfile has NotImplementedError for a compression
# that it does not know.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)
MAX_PARTS = 100_000
# A tree of elements takes many times the bytes of its XML.
MAX_TREE_BYTES = 32 * 2**20
CHUNK_BYTES = 1 << 20
# The prologue of a part, where a document type declaration would stand. OOXML forbids one and no
# office program writes it.
DOCTYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
PROLOGUE_BYTES = 4096
CELL_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})$")
BINARY_WORKBOOK = "xl/workbook.bin"
COLUMN = re.compile(r"[A-Za-z]{1,3}")
RELATIONSHIPS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class WorkbookPackage:
    """The parts of a zipped workbook, read on demand."""

    def __init__(self, content: bytes, name: str, max_uncompressed_megabytes: int) -> None:
        """Open `content`, named `name` in messages.

        Raises InputError for a damaged archive, for one that unpacks to more than the limit, and
        for an encrypted entry.
        """
        self.name = name
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise damaged(name, error) from error
        self._check_limits(max_uncompressed_megabytes * 2**20)
        self._names = {info.filename: info for info in self._archive.infolist()}

    @property
    def unpacked(self) -> int:
        """How many bytes all parts unpack to, as declared."""
        return sum(entry.file_size for entry in self._archive.infolist())

    def _check_limits(self, max_bytes: int) -> None:
        entries, total = self._archive.infolist(), self.unpacked
        if total > max_bytes or len(entries) > MAX_PARTS:
            raise InputError(
                f"{self.name} unpacks to {total / 2**20:,.0f} MB in {len(entries):,} parts, which "
                f"is over the limit of {max_bytes / 2**20:,.0f} MB: it is taken for a zip bomb. If "
                "it is a real workbook, raise catalogue.max_uncompressed_megabytes."
            )
        if any(entry.flag_bits & 1 for entry in entries):
            raise password_protected(self.name)

    @property
    def names(self) -> list[str]:
        """The names of all parts, in the order of the archive."""
        return list(self._names)

    def __contains__(self, part: str) -> bool:
        return part in self._names

    def size(self, part: str) -> int:
        """Return how many bytes `part` unpacks to, as declared; 0 when it is missing."""
        return self._names[part].file_size if part in self._names else 0

    def read(self, part: str) -> bytes:
        """Return the bytes of `part`, never more than its declared size; raises InputError when it
        is missing or damaged.
        """
        try:
            return self._archive.read(part)
        except (KeyError, *DAMAGE) as error:
            raise damaged(self.name, error) from error

    def read_xml(self, part: str) -> bytes:
        """Return the bytes of an XML part, in UTF-8.

        Raises InputError when it is in another encoding, or declares a document type, which could
        define entities.
        """
        content = self.read(part)
        self._check_prologue(part, content[:PROLOGUE_BYTES])
        return content

    def stream_xml(self, part: str) -> Iterator[bytes]:
        """Yield the bytes of an XML part piece by piece; raises as `read_xml` does."""
        try:
            with self._archive.open(part) as stream:
                self._check_prologue(part, beginning := stream.read(PROLOGUE_BYTES))
                yield beginning
                while piece := stream.read(CHUNK_BYTES):
                    yield piece
        except (KeyError, *DAMAGE) as error:
            raise damaged(self.name, error) from error

    def _check_prologue(self, part: str, content: bytes) -> None:
        if content.startswith(UTF16_MARKS):
            raise InputError(
                f"{self.name} is written in UTF-16, which its readers do not know. Open it in "
                f"Excel or LibreOffice and save it again."
            )
        if DOCTYPE.search(content):
            raise InputError(
                f"{self.name} declares XML entities in its part {part}, which no office program "
                "does and which is refused. Open the workbook in Excel or LibreOffice and save it "
                "again."
            )

    def verify(self) -> None:
        """Unpack every part once, keeping nothing; raises InputError when one is longer than
        declared or damaged.
        """
        for part in self._names:
            try:
                with self._archive.open(part) as stream:
                    while stream.read(CHUNK_BYTES):
                        pass
            except DAMAGE as error:
                raise damaged(self.name, error) from error


def damaged(name: str, error: Exception) -> InputError:
    """Return the error for a workbook whose bytes cannot be made sense of."""
    return InputError(
        f"{name} cannot be read as a workbook ({type(error).__name__}: {error}). It may be damaged "
        "or only half copied: open it in Excel or LibreOffice, save it as .xlsx, and give "
        "that file."
    )


def password_protected(name: str) -> InputError:
    """Return the error for an encrypted workbook."""
    return InputError(
        f"{name} is protected by a password and cannot be read. Open it, save a copy without the "
        "password (File › Info › Protect Workbook › Encrypt with Password, and empty the field), "
        "and give that copy."
    )


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
    """Return the root element of an XML part; raises InputError when it is not well-formed, or
    larger than any but a sheet is.
    """
    if package.size(part) > MAX_TREE_BYTES:
        raise InputError(
            f"{package.name} has a part {part} of {package.size(part) / 2**20:,.0f} MB, over the "
            f"{MAX_TREE_BYTES / 2**20:,.0f} MB that it may have. Copy the table into a new "
            f"workbook and give that."
        )
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
    parts = []
    for element in parse_xml(package, part).iter():
        if local_name(element.tag) == "sheet":
            identifier = next(
                (value for key, value in element.attrib.items() if local_name(key) == "id"), ""
            )
            link = targets.get(identifier)
            if link is not None and link.kind == "worksheet" and link.target in package:
                parts.append(
                    SheetPart(
                        element.get("name", ""),
                        link.target,
                        element.get("state", "visible") != "visible",
                    )
                )
    return parts


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
    match = CELL_REFERENCE.match(reference)
    if not match:
        raise ValueError(f"{reference!r} is no cell reference")
    return int(match[2]), column_number(match[1])


def range_corners(reference: str) -> tuple[int, int, int, int]:
    """Return (first row, first column, last row, last column) of "B2:C9" or of a single cell;
    raises ValueError.
    """
    first, _, last = reference.partition(":")
    return *cell_position(first), *cell_position(last or first)
