"""What is known of every URL that was asked for: one SQLite file, written as soon as an answer is
kept.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clustering_pipeline.core.engine import batched
from clustering_pipeline.stages.download.answers import Validators
from clustering_pipeline.stages.download.failures import Failure, FailureKind
from clustering_pipeline.storage import LocalDatabase, layout

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
INSERT OR REPLACE INTO pictures
    (key, image_sha256, format, width, height, bytes, etag, last_modified, asked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
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

    def __init__(self, folder: Path) -> None:
        """`folder`: where the file is, created when missing; raises StageError when it cannot be
        written.
        """
        self._database = LocalDatabase(folder / layout.DOWNLOAD_JOURNAL, _SCHEMA, _UNUSABLE)
        self._lock = threading.Lock()
        self._connection = self._database.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._connection.close()

    def look_up(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the entries that are held among `keys`."""
        found: dict[str, Entry] = {}
        for batch in batched(list(keys), _KEYS_PER_QUERY):
            with self._access() as connection:
                rows = connection.execute(_LOOK_UP.format(",".join("?" * len(batch))), batch)
                found.update((row[0], _entry(row)) for row in rows)
        return found

    def keep(self, key: str, picture: Picture, validators: Validators) -> None:
        """Record a picture, which clears an earlier failure."""
        with self._access() as connection:
            connection.execute(
                _KEEP,
                (key, *astuple(picture), validators.etag, validators.last_modified, time.time()),
            )

    def unchanged(self, key: str) -> None:
        """Record that the picture held is still right."""
        with self._access() as connection:
            connection.execute(_UNCHANGED, (time.time(), key))

    def forget(self, key: str) -> None:
        """Remove what is known of one URL."""
        with self._access() as connection:
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
                failed.transient,
                limits,
                reach,
                now,
            )
            for key, failed in failures
        ]
        with self._access() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_FAIL, rows)
            connection.execute("COMMIT")

    @contextmanager
    def _access(self) -> Iterator[sqlite3.Connection]:
        with self._database.errors(), self._lock:
            yield self._connection


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
