"""Pictures that lie in an .xlsx workbook, by the cell that shows them.

Three programs, three ways: Excel places a picture in a cell as a rich value ([MS-XLSX] 2.3.6), WPS
names it in a formula, and everywhere a picture may float over the cell that its corner lies in.
"""

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

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
