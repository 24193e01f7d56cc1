"""From an answer's bytes to a stored picture: decoded whole before it counts, kept as it came."""

import hashlib
import json
import threading
from collections.abc import Iterable
from typing import Final

from clustering_pipeline.imaging import (
    ImageError,
    ImageErrorKind,
    ImageFacts,
    ImageLimits,
    decode_image,
    probe,
)
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.answers import Validators
from clustering_pipeline.stages.download.failures import Failure, failure
from clustering_pipeline.stages.download.journal import Journal, Picture
from clustering_pipeline.storage import BlobStore

# Above this size pictures are decoded one at a time, so that a few giants cannot exhaust the memory
# together.
_GIANT_PIXELS = 16_000_000
_giants = threading.Lock()
# Raised when bytes that were refused may be read now.
_DECODER = 2
_REMEDIES: Final[dict[ImageErrorKind, str]] = {
    "not_an_image": "Correct the URL, or put a picture there.",
    "truncated": "Put a whole picture in its place.",
    "unsupported_format": "Save the picture in one of the formats that are read.",
    "bomb": "Use a smaller picture, or raise download.max_pixels.",
    "too_small": "Use a larger picture, or lower download.min_side.",
}


def image_limits(settings: DownloadSettings) -> ImageLimits:
    """Return the bounds on pixels that the settings ask for."""
    return ImageLimits(largest_pixels=settings.max_pixels, smallest_side=settings.min_side)


def picture_failure(error: ImageError, status: int | None = None) -> Failure:
    """Return the failure of bytes that give no picture, with what helps."""
    return Failure(error.kind, f"{error.sentence} {_REMEDIES[error.kind]}", status)


def violation(picture: Picture, settings: DownloadSettings) -> Failure | None:
    """Return why a picture that is held is refused by the limits, or None."""
    if picture.bytes > settings.max_bytes:
        return failure(
            "too_large",
            f"The picture has {picture.bytes / 1e6:.1f} MB; download.max_bytes allows "
            f"{settings.max_bytes / 1e6:g}.",
        )
    try:
        image_limits(settings).check(picture.width, picture.height)
    except ImageError as error:
        return picture_failure(error)
    return None


def limits_digest(settings: DownloadSettings) -> str:
    """Return the limits and the version of the decoder that a verdict on bytes depends on."""
    return _digest(settings.max_bytes, settings.max_pixels, settings.min_side, _DECODER)


def reach_digest(settings: DownloadSettings) -> str:
    """Return what decides which hosts may be reached."""
    return _digest(sorted(settings.allow_hosts), settings.trust_proxy)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def verify(content: bytes, limits: ImageLimits) -> ImageFacts:
    """Return the facts of a picture whose bytes decode to their end; raises ImageError."""
    facts = probe(content, limits)
    # A JPEG's whole bit stream is read at any scale; the smallest is the fastest.
    if facts.width * facts.height <= _GIANT_PIXELS:
        decode_image(content, limits, at_least=1)
    else:
        with _giants:
            decode_image(content, limits, at_least=1)
    return facts


class ImageStore:
    """Judges bytes, stores pictures and journals every verdict; its methods may run in several
    threads.
    """

    def __init__(self, journal: Journal, blobs: BlobStore, settings: DownloadSettings) -> None:
        self._journal = journal
        self._blobs = blobs
        self._image_limits = image_limits(settings)
        self._limits = limits_digest(settings)
        self._reach = reach_digest(settings)

    def keep(
        self, key: str, content: bytes, validators: Validators, status: int | None = None
    ) -> None:
        """Store and journal `content` if it is a picture, journal the failure if not."""
        try:
            facts = verify(content, self._image_limits)
        except ImageError as error:
            self.fail([(key, picture_failure(error, status))])
            return
        picture = Picture(
            self._blobs.put(content), facts.format, facts.width, facts.height, len(content)
        )
        self._journal.keep(key, picture, validators)

    def unchanged(self, key: str) -> None:
        """Journal that the picture held is still right."""
        self._journal.unchanged(key)

    def fail(self, failures: Iterable[tuple[str, Failure]]) -> None:
        """Journal failures."""
        self._journal.fail(failures, self._limits, self._reach)
