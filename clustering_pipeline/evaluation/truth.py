"""Gold labels: a CSV that says which listings are one product."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from clustering_pipeline.core.errors import InputError

GROUP = "group"


@dataclass(frozen=True)
class Truth:
    """`groups` maps a picture's file name (key "image") or a `product_base_id` to the name of its
    product.
    """

    key: Literal["image", "product_base_id"]
    groups: Mapping[str, str]

    def key_of(self, cell: object) -> str | None:
        """Return the key of a workbook cell, an id or one or several URLs, or None when it is
        unknown here.
        """
        words = (
            [str(cell).strip()]
            if self.key == "product_base_id"
            else map(file_name, str(cell).split())
        )
        return next((word for word in words if word in self.groups), None)


def file_name(url: str) -> str:
    """Return the last segment of the path of a URL, without its query; `http://h/a/0001.jpg?w=80`
    gives `0001.jpg`.
    """
    try:
        path = urlsplit(url.strip(",;|")).path
    except ValueError:
        return ""
    return unquote(path).rsplit("/", 1)[-1]


def read_truth(path: Path) -> Truth:
    """Read the gold labels at `path`; raises InputError when it is missing or is no such table."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"The truth file {path} cannot be read ({error.strerror}). Give the path of a CSV with "
            f"a header."
        ) from error
    return parse_truth(content, str(path))


def parse_truth(content: bytes, name: str) -> Truth:
    """Return the gold labels in the bytes of a CSV with the columns `image,group` or
    `product_base_id,group`.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        header = [column.strip() for column in rows.fieldnames or ()]
        rows.fieldnames = header
        key = _key_column(header, name)
        groups = {(row[key] or "").strip(): (row[GROUP] or "").strip() for row in rows}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"The truth file {name} is not a CSV in UTF-8 ({error}). Save it as CSV UTF-8."
        ) from error
    groups.pop("", None)
    if not groups:
        raise InputError(
            f"The truth file {name} has a header and no labelled row. Give a row per listing."
        )
    return Truth(key, groups)


def _key_column(header: list[str], name: str) -> Literal["image", "product_base_id"]:
    if GROUP in header and "image" in header:
        return "image"
    if GROUP in header and "product_base_id" in header:
        return "product_base_id"
    raise InputError(
        f"The truth file {name} has the columns {', '.join(header) or 'none'}. It needs "
        "`image,group` (the file name at the end of a picture's URL) or `product_base_id,group`."
    )
