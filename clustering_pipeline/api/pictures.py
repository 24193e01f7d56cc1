"""What counts as a picture when one is handed to Python's functions."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import Pixels, decode_image
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download import fetch_one

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]


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
