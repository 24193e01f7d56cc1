"""The columns that are added to a person's workbook, and what they are called in each language."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

WorkbookLanguage = Literal["en", "vi"]

OWN_COLUMNS = (
    "cluster_id",
    "cluster_name",
    "cluster_size",
    "is_representative",
    "confidence",
    "status",
    "reason",
)
OWN_PREFIX = "cp_"
OWN_HEADERS: Mapping[WorkbookLanguage, Mapping[str, str]] = {
    "en": {name: name for name in OWN_COLUMNS},
    "vi": {
        "cluster_id": "Mã cụm",
        "cluster_name": "Tên cụm",
        "cluster_size": "Số tin đăng của cụm",
        "is_representative": "Tin đại diện",
        "confidence": "Độ tin cậy",
        "status": "Trạng thái",
        "reason": "Lý do",
    },
}
_NAMES = {
    header.casefold(): name
    for language, headers in OWN_HEADERS.items()
    if language != "en"
    for name, header in headers.items()
}


def own_name(header: str) -> str | None:
    """Return which of our columns a header names in any language, with or without the prefix that
    keeps it apart from the user's.

    Example:
        >>> own_name("cp_cluster_id"), own_name("Mã cụm"), own_name("price")
        ('cluster_id', 'cluster_id', None)
    """
    name = header.strip().removeprefix(OWN_PREFIX)
    if name in OWN_COLUMNS:
        return name
    return _NAMES.get(unicodedata.normalize("NFC", name).casefold())


# The first headers of each sheet that is added, by language.
OWN_SHEETS: Mapping[str, Mapping[WorkbookLanguage, tuple[str, ...]]] = {
    "Products": {
        "en": ("picture", "name", "cluster_id"),
        "vi": ("Ảnh", "Tên sản phẩm", "Mã cụm"),
    },
    "Listings": {
        "en": ("product_base_id", "title", "cluster_id"),
        "vi": ("Mã tin đăng", "Tiêu đề", "Mã cụm"),
    },
    "Clusters": {
        "en": ("cluster_id", "cluster_name", "cluster_size", "picture"),
        "vi": ("Mã cụm", "Tên cụm", "Số tin đăng của cụm", "Ảnh"),
    },
    "Problems": {
        "en": ("sheet", "row", "product_base_id", "status", "reason"),
        "vi": ("Trang tính", "Dòng", "Mã tin đăng", "Trạng thái", "Lý do"),
    },
    "Summary": {"en": ("summary", "value"), "vi": ("Tóm tắt", "Giá trị")},
}


# How a sheet of ours is told from one of the user's with its name; the prefix: in workbooks of
# before.
_MARKED = re.compile(rf"(?:{OWN_PREFIX})*(.+?)(?: \(result(?: \d+)?\))?", re.DOTALL)


def plain_sheet_name(name: str) -> str:
    """Return the name of a sheet without what tells it from one of the user's.

    Example:
        >>> plain_sheet_name("Listings (result 2)"), plain_sheet_name("cp_Summary")
        ('Listings', 'Summary')
    """
    match = _MARKED.fullmatch(name)
    return match[1] if match else name


def free_sheet_name(name: str, taken: Sequence[str]) -> str:
    """Return a name for a sheet of ours that differs from what is taken, whatever its case.

    Example:
        >>> free_sheet_name("Listings", ["listings"])
        'Listings (result)'
    """
    lower = {text.strip().casefold() for text in taken}
    free_name, number = name, 1
    while free_name.casefold() in lower:
        free_name = f"{name} (result)" if number == 1 else f"{name} (result {number})"
        number += 1
    return free_name


def is_own_sheet(name: str, header: Sequence[str]) -> bool:
    """Whether a sheet is one that an earlier run added: by its name and its first headers."""
    layouts = OWN_SHEETS.get(plain_sheet_name(name), {})
    texts = tuple(text.strip() for text in header)
    return any(texts[: len(expected)] == expected for expected in layouts.values())
