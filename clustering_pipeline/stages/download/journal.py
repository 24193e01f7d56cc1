"""What is known of every URL that was asked for, and how an answer's bytes become a stored picture:
decoded whole before it counts, kept as it came.

The journal is one SQLite file, or a table that machines share, written as soon as an answer is
kept.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from operator import itemgetter
from types import TracebackType
from typing import Any, Final, Self

from clustering_pipeline.core.engine import batched
from clustering_pipeline.imaging import (
    ImageError,
    ImageErrorKind,
    ImageFacts,
    ImageLimits,
    decode_image,
    probe,
)
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.answers import Failure, FailureKind, Validators, failure
from clustering_pipeline.storage import BlobStore, Place, open_tables

# Raised when bytes that were refused may be read now.
_DECODER = 2
_REMEDIES: Final[dict[ImageErrorKind, str]] = {
    "not_an_image": "Correct the URL, or put a picture there.",
    "truncated": "Put a whole picture in its place.",
    "unsupported_format": "Save the picture in one of the formats that are read.",
    "bomb": "Use a smaller picture, or raise download.max_pixels.",
    "too_small": "Use a larger picture, or lower download.min_side.",
}
_KEYS_PER_QUERY = 500
# A kill loses nothing that was committed; only a power cut can lose the last commits, which are
# then asked again.
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS pictures (
    key TEXT PRIMARY KEY,
    image_sha256 TEXT, format TEXT, width INTEGER, height INTEGER, bytes INTEGER,
    etag TEXT, last_modified TEXT,
    error_kind TEXT, error TEXT, http_status INTEGER, is_transient INTEGER, limits TEXT, reach TEXT,
    asked_at REAL NOT NULL
) WITHOUT ROWID;
"""
_UNUSABLE = (
    "The download journal {path} cannot be used: {error}. Make sure that its folder can be written "
    "and has free space; a damaged journal may be removed, the pictures are then asked for again."
)
_KEEP = """
INSERT INTO pictures
    (key, image_sha256, format, width, height, bytes, etag, last_modified, asked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    image_sha256 = excluded.image_sha256, format = excluded.format, width = excluded.width,
    height = excluded.height, bytes = excluded.bytes, etag = excluded.etag,
    last_modified = excluded.last_modified, error_kind = NULL, error = NULL, http_status = NULL,
    is_transient = NULL, limits = NULL, reach = NULL, asked_at = excluded.asked_at
"""
_FAIL = """
INSERT INTO pictures
    (key, error_kind, error, http_status, is_transient, limits, reach, asked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    error_kind = excluded.error_kind, error = excluded.error, http_status = excluded.http_status,
    is_transient = excluded.is_transient, limits = excluded.limits, reach = excluded.reach,
    asked_at = excluded.asked_at
"""
_UNCHANGED = """
UPDATE pictures SET
    error_kind = NULL, error = NULL, http_status = NULL, is_transient = NULL, limits = NULL,
    reach = NULL, asked_at = ?
WHERE key = ?
"""
_LOOK_UP = """
SELECT key, image_sha256, format, width, height, bytes, etag, last_modified,
       error_kind, error, http_status, is_transient, limits, reach, asked_at
FROM pictures WHERE key IN ({})
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is held as a blob: its identity, Pillow's name of its format, its size in
    pixels and bytes.
    """

    image_sha256: str
    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one URL: a picture, the failure of the last request, or both when a refresh
    failed.

    `limits`, `reach`: digests of the settings that the failure came under: the limits on pictures,
    and which hosts may be reached. `asked_at`: Unix time of the last request.
    """

    picture: Picture | None
    failure: Failure | None
    validators: Validators
    limits: str | None
    reach: str | None
    asked_at: float


def journal_key(address: str) -> str:
    """Return the key of a URL; a digest, so that credentials and signatures in URLs are not written
    down.
    """
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()


class Journal:
    """The entries by key. Safe to use from several threads and processes; a context manager."""

    def __init__(self, place: Place) -> None:
        """`place`: the file, created when missing, or what machines share; raises StageError when
        it cannot be written.
        """
        self._tables = open_tables(
            place, _SCHEMA, _UNUSABLE, "journal of downloads", is_replaceable=True
        ).session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tables.close()

    def look_up(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the entries that are held among `keys`."""
        entries: dict[str, Entry] = {}
        for batch in batched(list(keys), _KEYS_PER_QUERY):
            with self._tables.reading() as connection:
                rows = connection.execute(_LOOK_UP.format(",".join("?" * len(batch))), batch)
                entries.update((row[0], _entry(row)) for row in rows)
        return entries

    def keep(self, key: str, picture: Picture, validators: Validators) -> None:
        """Record a picture, which clears an earlier failure."""
        with self._tables.writing(key) as connection:
            connection.execute(
                _KEEP,
                (key, *astuple(picture), validators.etag, validators.last_modified, time.time()),
            )

    def unchanged(self, key: str) -> None:
        """Record that the picture held is still right."""
        with self._tables.writing(key) as connection:
            connection.execute(_UNCHANGED, (time.time(), key))

    def forget(self, key: str) -> None:
        """Remove what is known of one URL."""
        with self._tables.writing(key) as connection:
            connection.execute("DELETE FROM pictures WHERE key = ?", (key,))

    def fail(self, failures: Iterable[tuple[str, Failure]], limits: str, reach: str) -> None:
        """Record failures; a picture that is held stays."""
        now = time.time()
        rows = [
            (
                key,
                failed.kind,
                failed.sentence,
                failed.http_status,
                int(failed.transient),
                limits,
                reach,
                now,
            )
            # In one order, so that two who write at once never wait for each other in a circle.
            for key, failed in sorted(failures, key=itemgetter(0))
        ]
        with self._tables.writing() as connection:
            connection.executemany(_FAIL, rows)


def _entry(row: tuple[Any, ...]) -> Entry:
    (
        _,
        digest,
        name,
        width,
        height,
        size,
        etag,
        modified,
        kind,
        sentence,
        status,
        transient,
        limits,
        reach,
        asked_at,
    ) = row
    return Entry(
        picture=Picture(digest, name, width, height, size) if digest else None,
        failure=_failure(kind, sentence, status, transient) if kind else None,
        validators=Validators(etag, modified),
        limits=limits,
        reach=reach,
        asked_at=asked_at,
    )


def _failure(kind: FailureKind, sentence: str, status: int | None, transient: int) -> Failure:
    return Failure(kind, sentence, status, bool(transient))


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
