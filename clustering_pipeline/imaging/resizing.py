"""Smaller versions of pictures, and their encoding for pages."""

import io

import cv2
import numpy as np
from PIL import Image

from clustering_pipeline.imaging.decoding import Pixels, decode_image
from clustering_pipeline.imaging.headers import DEFAULT_LIMITS, ImageLimits


def fit_within(pixels: Pixels, longest_side: int, enlarge: bool = False) -> Pixels:
    """Return the picture scaled so that its longest side has at most `longest_side` pixels
    (exactly, with `enlarge`).
    """
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    if scale == 1 or (scale > 1 and not enlarge):
        return pixels
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return the picture at width × height pixels: area averages when shrinking, cubic
    interpolation when enlarging.
    """
    shrinking = width * height < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def to_jpeg(pixels: Pixels, quality: int = 85) -> bytes:
    """Return the JPEG bytes of an RGB or grey uint8 picture; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def to_png(pixels: Pixels) -> bytes:
    """Return the PNG bytes of an RGB or grey uint8 picture: lossless."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def thumbnail(
    content: bytes, longest_side: int, quality: int = 80, limits: ImageLimits = DEFAULT_LIMITS
) -> bytes:
    """Return a JPEG of the picture with at most `longest_side` pixels a side; raises ImageError."""
    return to_jpeg(
        fit_within(decode_image(content, limits, at_least=longest_side), longest_side), quality
    )
