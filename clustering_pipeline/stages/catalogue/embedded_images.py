"""Pictures that come with a catalogue, in a folder or in its cells, taken into the store so that
what is read later is what was there when the run began.

Those that lie in an .xlsx workbook are told by the cell that shows them. Three programs, three
ways: Excel places a picture in a cell as a rich value ([MS-XLSX] 2.3.6), WPS names it in a formula,
and everywhere a picture may float over the cell that its corner lies in.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats.sheets import (
    Relationship,
    SheetPart,
    WorkbookPackage,
    damaged,
    local_name,
    parse_xml,
    relationships,
    workbook_part,
)
from clustering_pipeline.storage import BlobStore

PICTURE_SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".avif",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
}
MAX_PICTURES = 500_000
MAX_PICTURE_BYTES = 64 * 2**20
DIGEST_MARK = "#sha256="
DIGEST_DIGITS = hashlib.sha256().digest_size * 2
_log = logging.getLogger(__name__)


def store_folder(folder: Path, blobs: BlobStore) -> bytes:
    """Store every picture below `folder` and return the listing: JSON of relative path to sha256.

    Links that lead out of the folder are left out, as are hidden files and files over 64 MB; what
    may not be read is left out and named in the log. Raises InputError when the folder cannot be
    read or holds no picture.
    """
    root = folder.resolve()
    pictures = {
        path: blobs.put(content)
        for path in sorted(_picture_paths(root))
        if (content := _readable(root / path)) is not None
    }
    if not pictures:
        raise InputError(
            f"The folder {folder} holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))}). Give "
            "the folder that has them; pictures in its subfolders count."
        )
    return json.dumps(pictures, ensure_ascii=False, sort_keys=True).encode()


def _readable(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        _say_left_out(error)
        return None


def _say_left_out(error: OSError) -> None:
    _log.warning("%s is left out: it cannot be read (%s).", error.filename, error.strerror)


def _picture_paths(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(root, onerror=_say_left_out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if _is_picture(path, root):
                count += 1
                if count > MAX_PICTURES:
                    raise InputError(
                        f"{root} holds more than {MAX_PICTURES:,} pictures. Give a folder nearer "
                        f"to them."
                    )
                yield path.relative_to(root).as_posix()


def _is_picture(path: Path, root: Path) -> bool:
    if path.name.startswith(".") or path.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    try:
        real = path.resolve()
        size = real.stat().st_size if real.is_file() else None
    except OSError as error:
        _say_left_out(error)
        return False
    return size is not None and real.is_relative_to(root) and size <= MAX_PICTURE_BYTES


class PictureListing:
    """The pictures of a stored folder, found by the path a cell names."""

    def __init__(self, listing: bytes) -> None:
        """`listing`: what `store_folder` returned."""
        self.digests: dict[str, str] = json.loads(listing)

    def url(self, path: str) -> str:
        """Return the address of a picture: its path and the digest of its bytes."""
        return _address(path, self.digests[path])

    def find(self, text: str) -> str | None:
        """Return the address of the picture that a cell names relative to the folder, or None when
        there is none.
        """
        path = PurePosixPath(
            text.strip().removeprefix("file:").replace("\\", "/").removeprefix("./")
        ).as_posix()
        return self.url(path) if path in self.digests else None


def _address(path: str, digest: str) -> str:
    return f"file:{path}{DIGEST_MARK}{digest}"


class CellPictures:
    """The pictures that lie in the cells of one workbook, stored as far as cells of a listing show
    them.
    """

    def __init__(self, package: WorkbookPackage, keep: Callable[[bytes], str]) -> None:
        """`keep`: stores bytes and returns their sha256."""
        self._package, self._keep = package, keep
        self._addresses: dict[str, str | None] = {}

    def url(self, part: str) -> str | None:
        """Return the address of the picture in a part of the workbook; None when there is none, or
        one over 64 MB.
        """
        if part not in self._addresses:
            is_usable = 0 < self._package.size(part) <= MAX_PICTURE_BYTES
            self._addresses[part] = (
                _address(part, self._keep(self._package.read(part))) if is_usable else None
            )
        return self._addresses[part]

    def __len__(self) -> int:
        """How many pictures were asked for."""
        return sum(address is not None for address in self._addresses.values())


def digest(content: bytes) -> str:
    """Return the sha256 in hexadecimal: what keeping bytes gives, without keeping them."""
    return hashlib.sha256(content).hexdigest()


def folder_paths(content: bytes) -> list[str] | None:
    """Return the paths in a folder's listing, sorted; None when the bytes are no such listing."""
    if not content.startswith(b"{"):
        return None
    try:
        listing = json.loads(content)
    except ValueError:
        return None
    return sorted(listing) if all(is_digest(digest) for digest in listing.values()) else None


def is_digest(text: object) -> bool:
    """Whether a text is a sha256 in hexadecimal."""
    return (
        isinstance(text, str)
        and len(text) == DIGEST_DIGITS
        and set(text) <= set("0123456789abcdef")
    )


def stored_picture(url: str) -> str | None:
    """Return the sha256 of the stored bytes that a `file:` address of a catalogue stands for, or
    None for any other URL.
    """
    path, mark, digest = url.rpartition(DIGEST_MARK)
    return digest if path.startswith("file:") and mark and is_digest(digest) else None


NAMED_PICTURE = re.compile(r'\bDISPIMG\s*\(\s*"([^"]+)"', re.IGNORECASE)
RICH_VALUES = "XLRICHVALUE"
PICTURE_KEY = "_rvRel:LocalImageIdentifier"
Position = tuple[int, int]


def placed_pictures(package: WorkbookPackage) -> dict[str, str]:
    """Return the part of each picture that Excel placed in cells, by the number (`vm`) with which
    its cells name it.

    Raises InputError when the parts that lead there are damaged.
    """
    parts = {link.kind: link.target for link in relationships(package, workbook_part(package))}
    needed = ("sheetMetadata", "rdRichValue", "rdRichValueStructure", "richValueRel")
    if not all(parts.get(kind, "") in package for kind in needed):
        return {}
    try:
        metadata, values, structures, links = (parse_xml(package, parts[kind]) for kind in needed)
        by_value = _pictures_of_values(
            values, structures, _linked_parts(package, parts["richValueRel"], links)
        )
        marks = _values_of_marks(metadata)
    except (ValueError, IndexError) as error:
        raise damaged(package.name, error) from error
    return {mark: by_value[value] for mark, value in marks.items() if value in by_value}


def _linked_parts(
    package: WorkbookPackage, part: str, links: ElementTree.Element
) -> list[str | None]:
    targets = _images(relationships(package, part))
    return [
        targets.get(_relation(element)) for element in links if local_name(element.tag) == "rel"
    ]


def _images(links: list[Relationship]) -> dict[str, str]:
    return {
        link.identifier: link.target
        for link in links
        if link.kind == "image" and not link.is_external
    }


def _relation(element: ElementTree.Element) -> str:
    return next(
        (value for key, value in element.attrib.items() if local_name(key) in ("id", "embed")), ""
    )


def _pictures_of_values(
    values: ElementTree.Element, structures: ElementTree.Element, targets: list[str | None]
) -> dict[int, str]:
    """Return the part of each rich value that is a picture, by its position."""
    keys = [
        [key.get("n") for key in structure]
        for structure in structures
        if local_name(structure.tag) == "s"
    ]
    target_of = {}
    for number, value in enumerate(one for one in values if local_name(one.tag) == "rv"):
        names = keys[int(value.get("s", 0))]
        if PICTURE_KEY in names:
            target = targets[int(value[names.index(PICTURE_KEY)].text or "")]
            if target is not None:
                target_of[number] = target
    return target_of


def _values_of_marks(metadata: ElementTree.Element) -> dict[str, int]:
    """Return the position of the rich value that each `vm` number, from 1, stands for."""
    sections = {local_name(section.tag): section for section in metadata}
    types = [one.get("name") for one in sections.get("metadataTypes", ())]
    rich = next(
        (
            section
            for section in metadata
            if local_name(section.tag) == "futureMetadata" and section.get("name") == RICH_VALUES
        ),
        (),
    )
    values = [_rich_value(block) for block in rich]
    marks = {}
    for number, block in enumerate(sections.get("valueMetadata", ()), start=1):
        for record in block:
            if types[int(record.get("t", 0)) - 1] == RICH_VALUES:
                marks[str(number)] = values[int(record.get("v", 0))]
    return marks


def _rich_value(block: ElementTree.Element) -> int:
    return next((int(one.get("i", 0)) for one in block.iter() if local_name(one.tag) == "rvb"), -1)


def named_pictures(package: WorkbookPackage) -> dict[str, str]:
    """Return the part of each picture of a workbook of WPS by the name that DISPIMG gives it."""
    target_of = {}
    for part in (
        link.target
        for link in relationships(package, workbook_part(package))
        if link.kind.lower() == "cellimage" and link.target in package
    ):
        targets = _images(relationships(package, part))
        for picture in parse_xml(package, part).iter():
            if local_name(picture.tag) == "pic":
                target, name = _blip(picture, targets), _name(picture)
                if name and target:
                    target_of[name] = target
    return target_of


def _name(picture: ElementTree.Element) -> str | None:
    return next((one.get("name") for one in picture.iter() if local_name(one.tag) == "cNvPr"), None)


def _blip(picture: ElementTree.Element, targets: Mapping[str, str]) -> str | None:
    blips = (one for one in picture.iter() if local_name(one.tag) == "blip")
    return next((targets[one] for one in map(_relation, blips) if one in targets), None)


def floating_pictures(package: WorkbookPackage, sheet: SheetPart) -> dict[Position, str]:
    """Return the part of the first picture whose upper left corner lies in each cell, by (row,
    column) from 1.
    """
    parts: dict[Position, str] = {}
    for link in relationships(package, sheet.part):
        if link.kind == "drawing" and link.target in package:
            targets = _images(relationships(package, link.target))
            for position, part in _anchored(parse_xml(package, link.target), targets):
                parts.setdefault(position, part)
    return parts


def _anchored(
    drawing: ElementTree.Element, targets: Mapping[str, str]
) -> Iterator[tuple[Position, str]]:
    for anchor in drawing:
        corner = next((one for one in anchor if local_name(one.tag) == "from"), None)
        part = None if corner is None else _blip(anchor, targets)
        if corner is not None and part is not None:
            place = {local_name(one.tag): int(one.text or 0) for one in corner}
            yield (place.get("row", 0) + 1, place.get("col", 0) + 1), part
