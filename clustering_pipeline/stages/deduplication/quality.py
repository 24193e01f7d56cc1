"""How usable a picture is, judged on the product and not on the white around it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clustering_pipeline.core.manifests import REAL, TEXT, TEXTS, VECTOR
from clustering_pipeline.core.manifests import columns as columns_of
from clustering_pipeline.imaging import Box, ImageError, decode_reduced
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication.hashing import (
    PHASH_SIDE,
    low_frequencies,
    phash_bits,
    shrink,
    to_hexadecimal,
)
from clustering_pipeline.storage import BlobStore, stream_missing

Grey = NDArray[np.uint8]
Region = Literal["product", "whole"]

# The size at which pictures are judged: about the size at which they are compared.
NORMAL_SIDE = 256
_BACKGROUND_TOLERANCE = 12
_UNIFORM_BORDER = 0.6
_SMALLEST_PRODUCT = 0.002
_CENTRAL_SHARE = 0.6
_EDGE = 40
_ROWS = 64
_GREY_LEVELS = np.arange(256)
# Crops whose places are in memory while they are worked on.
_SOURCES = 65_536


@dataclass(frozen=True)
class Quality:
    """What is measured on one picture, in grey levels 0 to 255.

    Attributes:
        sharpness: variance of the Laplacian within the region, the picture's longer side at most
            256 pixels.
        brightness: mean of the region.
        contrast: 99th less 1st percentile of the region.
        spread: 99.5th less 0.5th percentile of the whole picture.
        detail: share of the picture's pixels at which the Laplacian exceeds 40: edges and print.
    """

    sharpness: float
    brightness: float
    contrast: float
    spread: float
    detail: float


def measure_quality(small: Grey, region: Region = "product") -> Quality:
    """Return the quality of a uint8 picture, as `normalised` gives it, within its product or as a
    whole.

    Example:
        >>> plain = np.full((64, 64), 128, np.uint8)
        >>> measure_quality(plain, "picture").sharpness
        0.0
    """
    mask = product_mask(small) if region == "product" else None
    laplacian = cv2.Laplacian(small, cv2.CV_16S)
    levels = _levels(small, mask)
    low, high = _percentiles(levels, 0.01)
    lowest, highest = _percentiles(_levels(small, None) if mask is not None else levels, 0.005)
    return Quality(
        sharpness=float(cv2.meanStdDev(laplacian, mask=mask)[1][0, 0] ** 2),
        brightness=float(levels @ _GREY_LEVELS / levels.sum()),
        contrast=high - low,
        spread=highest - lowest,
        detail=float(np.count_nonzero(np.abs(laplacian) > _EDGE) / small.size),
    )


def product_mask(small: Grey) -> Grey:
    """Return 255 where the product is, 0 elsewhere: what differs from a uniform border, else the
    central region.
    """
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    background = int(np.partition(border, len(border) // 2)[len(border) // 2])
    near = np.abs(border.astype(np.int16) - background) <= _BACKGROUND_TOLERANCE
    if near.mean() < _UNIFORM_BORDER:
        return _central_region(small)
    difference = cv2.absdiff(small, background)  # type: ignore[call-overload]
    mask = cv2.threshold(difference, _BACKGROUND_TOLERANCE, 255, cv2.THRESH_BINARY)[1]
    if cv2.countNonZero(mask) < _SMALLEST_PRODUCT * mask.size:
        return _central_region(small)
    # A plain product differs from its background by its outline alone.
    return np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), np.uint8)


def _central_region(small: Grey) -> Grey:
    height, width = small.shape
    mask = np.zeros_like(small)
    margin_y, margin_x = (
        int(height * (1 - _CENTRAL_SHARE) / 2),
        int(width * (1 - _CENTRAL_SHARE) / 2),
    )
    mask[margin_y : height - margin_y, margin_x : width - margin_x] = 255
    return mask


def normalised(grey: Grey) -> Grey:
    """Return the picture with at most 256 pixels on its longer side."""
    height, width = grey.shape
    longest = max(height, width)
    if longest <= NORMAL_SIDE:
        return grey
    # Averaging two by two pixels is many times faster than averaging fractions of pixels.
    while longest >= 2 * NORMAL_SIDE and min(height, width) > 1:
        height, width, longest = height // 2, width // 2, longest // 2
        grey = np.asarray(
            cv2.resize(
                grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
            ),
            np.uint8,
        )
    size = (
        max(1, round(width * NORMAL_SIDE / longest)),
        max(1, round(height * NORMAL_SIDE / longest)),
    )
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _levels(small: Grey, mask: Grey | None) -> NDArray[np.float64]:
    """Return how many pixels have each grey level, within the mask, in at most about 64 of the
    rows.
    """
    step = max(1, len(small) // _ROWS)
    rows = None if mask is None else mask[::step]
    levels = cv2.calcHist([small[::step]], [0], rows, [256], [0, 256]).ravel().astype(np.float64)
    return levels if levels.any() else _levels(small, None)


def _percentiles(levels: NDArray[np.float64], share: float) -> tuple[float, float]:
    """Return the grey levels under which `share` and all but `share` of the pixels lie."""
    cumulated = np.cumsum(levels)
    low, high = np.searchsorted(cumulated, cumulated[-1] * np.array([share, 1 - share]))
    return float(low), float(high)


class CropSource(NamedTuple):
    """Where a crop comes from.

    The main crop of a picture is compared by the whole picture, which no detection disturbs.
    """

    crop_sha256: str
    image_sha256: str
    box: Box
    is_main: bool

    @property
    def key(self) -> str:
        """What the measures of the crop depend on, besides settings."""
        return _key(self.crop_sha256, self.image_sha256, is_main=self.is_main)


MEASURES = pa.schema(
    [
        *columns_of(REAL, "sharpness", "brightness", "contrast", "spread", "detail"),
        *columns_of(TEXT, "phash", "dhash"),
        ("centre_phashes", TEXTS),
        ("frequencies", VECTOR),
        ("error", TEXT),
    ]
)
_CENTRE_SIDE = 64
# Pixels of 64 that are cut off every side: what a copy that was cropped by 3 or 5 % on each side
# still shows.
_CENTRE_MARGINS = (2, 3)


def measure(picture: Grey, crop: Grey, region: Region) -> dict[str, Any]:
    """Return the columns of MEASURES: the hashes of a (height, width) uint8 picture, the quality of
    its crop.
    """
    square, strip = shrink(picture)
    low, small = low_frequencies(square), normalised(picture)
    return {
        **vars(measure_quality(small if crop is picture else normalised(crop), region)),
        "phash": to_hexadecimal(phash_bits(low)),
        "dhash": to_hexadecimal(strip[:, 1:] > strip[:, :-1]),
        "centre_phashes": _centre_phashes(small),
        "frequencies": low.astype(np.float32).ravel(),
        "error": None,
    }


def _centre_phashes(small: Grey) -> list[str]:
    square = cv2.resize(small, (_CENTRE_SIDE, _CENTRE_SIDE), interpolation=cv2.INTER_AREA)
    centres = [square[margin:-margin, margin:-margin] for margin in _CENTRE_MARGINS]
    squares = [
        cv2.resize(centre, (PHASH_SIDE, PHASH_SIDE), interpolation=cv2.INTER_AREA)
        for centre in centres
    ]
    return [to_hexadecimal(bits) for bits in phash_bits(low_frequencies(np.stack(squares)))]


def measure_batch(
    crops: list[CropSource], blobs: BlobStore, region: Region
) -> list[dict[str, Any]]:
    """Return one row of MEASURES with its `key` per crop; a damaged one says why."""
    return [{"key": crop.key, **_measure_stored(crop, blobs, region)} for crop in crops]


def _measure_stored(crop: CropSource, blobs: BlobStore, region: Region) -> dict[str, Any]:
    try:
        reduced = decode_reduced(blobs.get(crop.image_sha256), crop.box, grey=True)
    except ImageError as error:
        return {**dict.fromkeys(MEASURES.names), "error": str(error)}
    part = np.ascontiguousarray(reduced.region)
    whole = reduced.picture if crop.is_main else part
    return measure(whole, whole if part.shape == whole.shape else part, region)


Batch = Callable[[list[CropSource]], list[dict[str, Any]]]


def fingerprint_of(*parts: str) -> str:
    """Return the fingerprint of what is measured, which no limit changes."""
    return sha256(" ".join(parts).encode()).hexdigest()


def stream_per_crop(
    title: str,
    batch: Batch,
    crops: pd.DataFrame,
    schema: pa.Schema,
    fingerprint: str,
    settings: CleanImageSettings,
    context: StageContext,
    columns: Sequence[str] | None = None,
) -> Iterator[tuple[NDArray[np.int64], pd.DataFrame]]:
    """Yield frames of `schema`, or some `columns` of it, with the places of their rows in
    `crops`, until each has its own; only a part is in memory at once.

    `crops`: `crop_sha256` (distinct), `image_sha256`, box and `is_main`; `batch` returns rows with
    a `key` each.
    """
    table = context.tables.table("clean_images", fingerprint, schema)
    keys = _keys(crops)
    places = pd.Index(keys)

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        with context.progress.track(title, len(missing), "crop") as bar:
            for start in range(0, len(missing), _SOURCES):
                some = crops.iloc[places.get_indexer(pd.Index(missing[start : start + _SOURCES]))]
                work = [_source(row) for row in some.to_dict("records")]
                for rows in context.engine.map_batches(batch, work, batch_size=settings.batch_size):
                    yield pd.DataFrame(rows, columns=["key", *schema.names])
                    bar.advance(len(rows))

    for frame in stream_missing(table, keys, compute, columns):
        yield places.get_indexer(frame.index), frame


def _keys(crops: pd.DataFrame) -> list[str]:
    named = zip(crops["crop_sha256"], crops["image_sha256"], crops["is_main"], strict=True)
    return [_key(crop, image, is_main=bool(main)) for crop, image, main in named]


def _key(crop: str, image: str, *, is_main: bool) -> str:
    return f"{crop}-{image}" if is_main else crop


def _source(row: dict[Any, Any]) -> CropSource:
    box = (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"]))
    return CropSource(row["crop_sha256"], row["image_sha256"], box, bool(row["is_main"]))
