"""Regions of pictures and their identity."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging.headers import DEFAULT_LIMITS, ImageLimits
from clustering_pipeline.imaging.pixels import Pixels, decode_image, to_png
from clustering_pipeline.storage import BlobStore

Box = tuple[int, int, int, int]


def load_image(blobs: BlobStore, image_sha256: str, limits: ImageLimits = DEFAULT_LIMITS) -> Pixels:
    """Return a stored picture as (height, width, 3) uint8 RGB; raises StageError when not held,
    ImageError when damaged.
    """
    return decode_image(blobs.get(image_sha256), limits)


def load_crop(
    blobs: BlobStore,
    image_sha256: str,
    box: Box | None,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    mask: str | None = None,
) -> Pixels:
    """Return the region `box` of a stored picture as (height, width, 3) uint8 RGB; the whole
    picture when `box` is None.

    `mask` names the blob of a mask of that region (`pack_mask`), beyond which the crop is white.
    Raises StageError when the picture is not held, ImageError when it is damaged, ValueError when
    the box is empty.
    """
    pixels = load_image(blobs, image_sha256, limits)
    region = pixels if box is None else cut(pixels, box)
    return (
        without_background(region, unpack_mask(blobs.get(mask)))
        if isinstance(mask, str)
        else region
    )


def without_background(pixels: Pixels, shown: NDArray[np.bool_]) -> Pixels:
    """Return a (height, width, 3) picture that is white wherever `shown`, bool (height, width), is
    not.
    """
    return np.where(shown[:, :, None], pixels, np.uint8(255))


def pack_mask(shown: NDArray[np.bool_]) -> bytes:
    """Return a bool (height, width) mask as PNG bytes, white where it is true."""
    return to_png(shown.astype(np.uint8) * np.uint8(255))


def unpack_mask(content: bytes) -> NDArray[np.bool_]:
    """Return the mask that `pack_mask` packed."""
    return np.asarray(decode_image(content)[:, :, 0] > 0)


def cut(pixels: Pixels, box: Box) -> Pixels:
    """Return the half-open region x0, y0, x1, y1 (pixels) within the picture; raises ValueError
    when nothing is left.

    Example:
        >>> cut(np.zeros((40, 60, 3), np.uint8), (-5, 10, 30, 35)).shape
        (25, 30, 3)
    """
    x0, y0, x1, y1 = (max(0, int(edge)) for edge in box)
    region = pixels[y0:y1, x0:x1]
    if region.size == 0:
        raise ValueError(
            f"the box {tuple(box)} is empty in a picture of {pixels.shape[1]} × {pixels.shape[0]} "
            f"pixels"
        )
    return region


def crop_digest(pixels: Pixels) -> str:
    """Return the sha256 in hexadecimal of a crop's normalised pixels: its size and its 8-bit RGB
    values.

    Example:
        >>> low, high = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
        >>> crop_digest(low) == crop_digest(low.copy()), crop_digest(low) == crop_digest(high)
        (True, False)
    """
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
