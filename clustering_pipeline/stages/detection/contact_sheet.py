"""Pictures with the boxes that were cut out of them, on one page that needs nothing beside it."""

import base64
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.markup import open_templates
from clustering_pipeline.imaging import (
    ImageError,
    Pixels,
    fit_within,
    load_image,
    to_jpeg,
    unpack_mask,
)
from clustering_pipeline.storage import BlobStore

MOST_PICTURES = 60
PICTURE_SIDE = 220
QUALITY = 72
Row = Mapping[Hashable, Any]
# How much of the background shows through where a mask removed it.
VEIL = 0.25
# What finds boxes without a doubt that could be told.
FOUND_BY = {"contour": "found by its outline", "given": "given in the catalogue"}


@dataclass(frozen=True)
class DrawnBox:
    """A crop on its picture; edges in pixels of the picture."""

    x0: int
    y0: int
    width: int
    height: int
    is_main: bool
    caption: str


@dataclass(frozen=True)
class DrawnPicture:
    """A picture as a data URI, its size in pixels, and what was cut out of it."""

    digest: str
    uri: str
    width: int
    height: int
    boxes: tuple[DrawnBox, ...]


def write_contact_sheet(crops: pd.DataFrame, blobs: BlobStore, most: int = MOST_PICTURES) -> bytes:
    """Return UTF-8 HTML that shows up to `most` pictures of a CROPS manifest with their boxes.

    They are spread evenly over the doubt of the detector: pictures in which nothing was found come
    first, then by score.
    """
    readable = crops[crops["crop_sha256"].notna()]
    chosen = _spread(readable, most)
    by_picture = dict(list(readable[readable["image_sha256"].isin(chosen)].groupby("image_sha256")))
    drawn = [
        picture
        for digest in chosen
        if (picture := _draw(digest, by_picture[digest], blobs)) is not None
    ]
    page = open_templates("clustering_pipeline.stages.detection").get_template("contact_sheet.html")
    return page.render(pictures=drawn, total=readable["image_sha256"].nunique()).encode()


def _spread(readable: pd.DataFrame, most: int) -> list[str]:
    """Return at most `most` pictures, evenly spaced from nothing found to the highest score."""
    main = readable[readable["rank"] == 0]
    ordered = (
        main.assign(score=main["score"].fillna(-1.0))
        .sort_values(["score", "image_sha256"])["image_sha256"]
        .to_numpy(object)
    )
    places = np.unique(
        np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    )
    return [str(ordered[place]) for place in places]


def _draw(digest: str, rows: pd.DataFrame, blobs: BlobStore) -> DrawnPicture | None:
    try:
        pixels = load_image(blobs, digest)
    except (ImageError, PipelineError):
        return None
    height, width = pixels.shape[:2]
    records = rows.sort_values("rank").to_dict("records")
    veiled = _veiled(pixels, records, blobs)
    uri = (
        "data:image/jpeg;base64,"
        + base64.b64encode(to_jpeg(fit_within(veiled, PICTURE_SIDE), QUALITY)).decode()
    )
    return DrawnPicture(digest, uri, width, height, tuple(_box(record) for record in records))


def _veiled(pixels: Pixels, records: Iterable[Row], blobs: BlobStore) -> Pixels:
    """Return the picture, pale where the masks of its crops removed the background."""
    veiled = pixels.copy()
    for record in records:
        if isinstance(record["mask"], str):
            x0, y0, x1, y1 = (int(record[edge]) for edge in ("x0", "y0", "x1", "y1"))
            region, shown = veiled[y0:y1, x0:x1], unpack_mask(blobs.get(record["mask"]))
            pale = (255 - (255 - region.astype(np.float32)) * VEIL).astype(np.uint8)
            veiled[y0:y1, x0:x1] = np.where(shown[:, :, None], region, pale)
    return veiled


def _box(record: Row) -> DrawnBox:
    x0, y0, x1, y1 = (int(record[edge]) for edge in ("x0", "y0", "x1", "y1"))
    return DrawnBox(x0, y0, x1 - x0, y1 - y0, bool(record["is_main"]), _caption(record))


def _caption(record: Row) -> str:
    if pd.isna(record["score"]):
        return "nothing found, the whole picture"
    named = [str(record[name]) for name in ("word", "label") if isinstance(record[name], str)]
    sure = FOUND_BY.get(str(record["detector"]), f"{100 * record['score']:.0f}% sure")
    return ", ".join([*dict.fromkeys(named), sure])
