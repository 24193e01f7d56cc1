"""A workbook's package as parts that are replaced, added and removed, everything else kept to the byte."""

import io
import re
import zipfile
from collections.abc import Iterable

from clustering_pipeline.catalogue import (
    Relationship,
    WorkbookPackage,
    relationships,
    relationships_part,
    workbook_part,
    worksheets,
)
from clustering_pipeline.workbook.markup import attribute

TRANSITIONAL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
CONTENT_TYPES_PART = "[Content_Types].xml"
# One fixed time for every part, so that equal content gives equal bytes.
PART_TIME = (1980, 1, 1, 0, 0, 0)


class WorkbookParts:
    """The parts of one .xlsx or .xlsm file under change."""

    def __init__(self, content: bytes, name: str, max_uncompressed_megabytes: int) -> None:
        """Raises InputError for a damaged or oversized archive."""
        self.package = WorkbookPackage(content, name, max_uncompressed_megabytes)
        self.changed: dict[str, bytes] = {}
        self.removed: set[str] = set()
        self.workbook_part = workbook_part(self.package)
        self.sheets = {sheet.name: sheet for sheet in worksheets(self.package)}
        self.is_strict = STRICT.encode() in self.read(self.workbook_part)[:4096]

    def __contains__(self, part: str) -> bool:
        return part in self.changed or (part in self.package and part not in self.removed)

    def read(self, part: str) -> bytes:
        """Return a part as it now stands, XML as UTF-8."""
        return self.changed[part] if part in self.changed else as_utf8(self.package.read_xml(part))

    def write(self, part: str, content: bytes) -> None:
        """Replace or add a part."""
        self.changed[part] = content
        self.removed.discard(part)

    def remove(self, part: str) -> None:
        """Take a part out of the package."""
        self.changed.pop(part, None)
        self.removed.add(part)

    def free_name(self, pattern: str) -> str:
        """Return the first name `pattern.format(1)`, `pattern.format(2)`… that no part has."""
        number = 1
        while pattern.format(number) in self or pattern.format(number) in self.package:
            number += 1
        return pattern.format(number)

    def links(self, part: str) -> list[Relationship]:
        """Return the links of an unchanged part."""
        return relationships(self.package, part)

    def kind(self, name: str) -> str:
        """Return the full type of a relationship such as "worksheet", in the dialect of this workbook."""
        return f"{STRICT if self.is_strict else TRANSITIONAL}/{name}"

    def add_link(self, part: str, kind: str, target: str) -> str:
        """Add a link from `part` to the part `target` and return its identifier."""
        rels = relationships_part(part)
        content = self.read(rels) if rels in self else _no_links()
        used = {found.decode() for found in re.findall(rb'\bId\s*=\s*["\']([^"\']*)["\']', content)}
        identifier = next(name for name in (f"rIdCp{number}" for number in range(1, len(used) + 2)) if name not in used)
        element = f'<Relationship Id="{identifier}" Type="{self.kind(kind)}" Target={attribute("/" + target)}/>'
        self.write(rels, insert_before_end(content, element.encode(), "Relationships"))
        return identifier

    def add_content_type(self, part: str, content_type: str) -> None:
        """Declare the type of a part; a part that is declared already stays as it is."""
        content = self.read(CONTENT_TYPES_PART)
        if f'PartName="/{part}"'.encode() not in content:
            element = f"<Override PartName={attribute('/' + part)} ContentType={attribute(content_type)}/>"
            self.write(CONTENT_TYPES_PART, insert_before_end(content, element.encode(), "Types"))

    def add_default_type(self, suffix: str, content_type: str) -> None:
        """Declare the type of all parts with a file suffix."""
        content = self.read(CONTENT_TYPES_PART)
        if not re.search(rb'Extension="%b"' % suffix.encode(), content, re.IGNORECASE):
            element = f'<Default Extension="{suffix}" ContentType="{content_type}"/>'
            # Defaults come before overrides in every file that office programs write.
            position = re.search(rb"<(?:\w+:)?Types\b[^>]*>", content)
            assert position is not None
            self.write(CONTENT_TYPES_PART, content[: position.end()] + element.encode() + content[position.end() :])

    def packed(self) -> bytes:
        """Return the bytes of the workbook, its parts in their old order and new ones at the end."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for part in self._part_names():
                content = self.changed[part] if part in self.changed else self.package.read(part)
                info = zipfile.ZipInfo(part, PART_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)
        return buffer.getvalue()

    def _part_names(self) -> Iterable[str]:
        kept = [part for part in self.package.names if part not in self.removed]
        return dict.fromkeys([*kept, *self.changed])


def _no_links() -> bytes:
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f'{declaration}<Relationships xmlns="{PACKAGE_RELATIONSHIPS}"></Relationships>'.encode()


def as_utf8(content: bytes) -> bytes:
    """Return an XML part in UTF-8, so that bytes can be put into it."""
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content
    text = content.decode("utf-16")
    return re.sub(r"encoding\s*=\s*[\"'][^\"']*[\"']", 'encoding="UTF-8"', text, count=1).encode()


def insert_before_end(content: bytes, addition: bytes, element: str) -> bytes:
    """Return XML with `addition` before the last end tag of `element`; an empty element is opened first."""
    name = element.encode()
    ends = list(re.finditer(rb"</(?:\w+:)?%b\s*>" % name, content))
    if ends:
        return content[: ends[-1].start()] + addition + content[ends[-1].start() :]
    empty = re.search(rb"<((?:\w+:)?%b)\b([^>]*)/>" % name, content)
    if empty is None:
        raise ValueError(f"there is no element {element}")
    opened = b"<%b%b>%b</%b>" % (empty[1], empty[2], addition, empty[1])
    return content[: empty.start()] + opened + content[empty.end() :]
