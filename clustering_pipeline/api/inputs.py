"""What is handed to Python's functions: pictures, and a table of listings, which becomes a recorded
catalogue with its pictures in the store and the table as a workbook that can be labelled.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import Pixels, decode_image
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.catalogue import CatalogueSource, SourceRecords
from clustering_pipeline.stages.download import fetch_one
from clustering_pipeline.storage import BlobStore

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
IDS = ("id", "product_base_id")
# The columns that may hold pictures, in the order in which they are looked for.
PICTURES = ("image", "PIL", "path", "url")
TABLE = "listings.parquet"


def is_url(text: object) -> bool:
    """Whether a cell or an argument is the address of a picture on the web."""
    return isinstance(text, str) and text.strip().lower().startswith(("http://", "https://"))


def bytes_of(picture: Picture, which: str = "The picture") -> bytes:
    """Return a picture as a file's bytes: those of the file it came from, else a PNG.

    `which` names it in messages. Raises InputError for what is no picture, or a file that cannot be
    read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return _read(Path(picture).expanduser(), which)
    if isinstance(picture, np.ndarray):
        return _png(Image.fromarray(_checked(picture, which)))
    if isinstance(picture, Image.Image):
        return _png(picture)
    raise InputError(
        f"{which} is a {type(picture).__name__}. Give a path, a URL, bytes, a PIL image or an RGB "
        "array."
    )


def pixels_of(picture: Picture, download: DownloadSettings | None = None) -> Pixels:
    """Return a picture as RGB, uint8 (height, width, 3), turned as its EXIF data say.

    `download`: how a URL is fetched; None where none is taken. Raises InputError, ImageError, and
    FetchError for a URL.
    """
    if isinstance(picture, np.ndarray):
        return _checked(picture, "The picture")
    if download is not None and is_url(picture):
        return decode_image(fetch_one(str(picture).strip(), download))
    return decode_image(bytes_of(picture))


def _read(path: Path, which: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{which}, {path}, cannot be read ({error.strerror}); a relative path counts from "
            f"{Path.cwd()}."
        ) from error


def _checked(pixels: NDArray[np.uint8], which: str) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(
            f"{which} is an array of {pixels.dtype} {pixels.shape}. Give uint8 (height, width, 3), "
            "RGB."
        )
    return pixels


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    is_plain = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    (image if is_plain else image.convert("RGB")).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Stored:
    """A cell as the kept table has it, and the picture's bytes where it came with one."""

    cell: str
    content: bytes | None = None


def record_frame(
    frame: pd.DataFrame, name: str, records: SourceRecords, blobs: BlobStore, hosts: Iterable[str]
) -> CatalogueSource:
    """Record a frame as the category `name` and return its record.

    Its pictures are in a column `image` (PIL images, RGB arrays or bytes), `path` or `url`, its ids
    in `id` or `product_base_id`. Raises InputError for a frame without them, or a file that cannot
    be read.
    """
    ids, pictures = _column(frame, IDS, "ids"), _column(frame, PICTURES, "pictures")
    if frame.empty:
        raise InputError("The table has no row. Give a row per listing.")
    stored = [
        _stored(value, number, f"row {row} (id {identifier})")
        for number, (row, identifier, value) in enumerate(
            zip(frame.index, frame[ids], frame[pictures], strict=True)
        )
    ]
    listing = {one.cell: blobs.put(one.content) for one in stored if one.content is not None}
    table = frame.drop(columns=[ids, pictures]).rename(columns=str).reset_index(drop=True)
    table = table.apply(lambda column: column.map(_as_cell) if column.dtype == object else column)
    table.insert(0, "product_base_id", [_as_cell(value) for value in frame[ids]])
    table.insert(1, "url_thumbnail", [one.cell for one in stored])
    return records.record_bytes(
        table.to_parquet(index=False), TABLE, name, pictures=listing, hosts=hosts
    )


def _column(frame: pd.DataFrame, names: Iterable[str], what: str) -> str:
    header = next((name for name in names if name in frame.columns), None)
    if header is None:
        raise InputError(
            f"The table has no column of {what}: {' or '.join(names)}. It has "
            f"{', '.join(map(str, frame.columns)) or 'none'}; rename one of them."
        )
    return header


def _stored(value: Any, number: int, row: str) -> _Stored:
    """Return what a cell becomes; `row` names it in messages."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return _Stored("")
    if isinstance(value, str) and (is_url(value) or not value.strip()):
        return _Stored(value.strip())
    name = Path(value).name if isinstance(value, str | Path) else "picture"
    return _Stored(f"{number}/{name}", bytes_of(value, f"The picture of {row}"))


def _as_cell(value: object) -> str | None:
    """Return a value as the table file holds it: text, or nothing."""
    return None if value is None or value is pd.NA or value != value else str(value)
