"""Whole files on any fsspec file system; how they last through a loss of power; and locks between
the processes of one machine.

The kernel keeps what is written in memory for half a minute. To wait for the disk after each small
file would take longer than most stages; a group of files costs little more than one.
"""

import errno
import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Lock

import fsspec
from fsspec.implementations.local import LocalFileSystem

from clustering_pipeline.core.errors import DISK_REMEDIES, NO_SPACE, InputError, StageError

# A group is brought to the disk once it is so large, or its first file is so old, in seconds.
_GROUP, _OLDEST = 256, 5.0
_THREADS = 16


class PendingFiles:
    """The local files that this process has written since the last group went to the disk."""

    def __init__(self) -> None:
        self._files: dict[str, float] = {}
        self._lock = Lock()

    def add(self, path: str) -> None:
        """Remember a file that was written; a group that is complete goes to the disk."""
        now = time.monotonic()
        with self._lock:
            self._files.setdefault(path, now)
            first = next(iter(self._files.values()))
            is_due = len(self._files) >= _GROUP or now - first >= _OLDEST
        if is_due:
            self.commit()

    def commit(self, *more: str) -> None:
        """Wait until all files that were added, and some more, are on the disk with their names."""
        with self._lock:
            group, self._files = [*self._files, *more], {}
        if group:
            sync_files(group)


def sync_files(paths: Iterable[str]) -> None:
    """Wait until files and the names in their folders are on the disk; what is gone is fine."""
    files = list(paths)
    folders = {str(Path(file).parent) for file in files}
    # The file system brings what is asked for at the same time to the disk together.
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(sync_path, files))
        list(threads.map(sync_path, folders))


def sync_path(path: str) -> None:
    """Wait until a file, or the names in a folder, are on the disk; one that is gone is fine."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PENDING = PendingFiles()


_log = logging.getLogger(__name__)
_REMEDY = "see that the folder is there and that this account may write to it"
_REMEDIES = {number: DISK_REMEDIES[number] for number in (*NO_SPACE, errno.EROFS)}
# What is put there appears as a whole or not at all, and renaming it would copy it.
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"}
)


class FileTree:
    """Reads and writes whole files under one root; a write lands under a temporary name and is
    renamed, but for object stores, where it lands as a whole by itself.
    """

    def __init__(self, root: str) -> None:
        """`root`: a folder or an fsspec URL such as `s3://bucket/prefix`."""
        self.root = str(root).rstrip("/")
        # What was listed before says nothing of what others wrote since.
        self.filesystem, self._base = fsspec.core.url_to_fs(self.root, use_listings_cache=False)

    def location(self, path: str) -> str:
        """Return the file system's own name of `path`; raises ValueError when it would leave the
        root.
        """
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"{path!r} leaves the storage folder")
        return f"{self._base}/{relative}"

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def is_object_store(self) -> bool:
        """Whether files are objects that are put as a whole, and never renamed."""
        protocol = self.filesystem.protocol
        return not _OBJECT_STORES.isdisjoint({protocol} if isinstance(protocol, str) else protocol)

    def address(self, path: str) -> str:
        """Return where `path` is in words for people: a path on this machine, else a URL with its
        protocol.
        """
        location = self.location(path)
        return location if self.is_local else str(self.filesystem.unstrip_protocol(location))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is at `path`."""
        return bool(self.filesystem.exists(self.location(path)))

    def size(self, path: str) -> int | None:
        """Return how many bytes the file at `path` has, None when there is none."""
        try:
            return int(self.filesystem.info(self.location(path))["size"])
        except FileNotFoundError:
            return None

    def read(self, path: str) -> bytes:
        """Return the bytes at `path`; raises FileNotFoundError."""
        with self.filesystem.open(self.location(path), "rb") as file:
            return bytes(file.read())

    def read_part(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes at `path` from `start` up to `end`, fewer at its end; raises
        FileNotFoundError.
        """
        return bytes(self.filesystem.cat_file(self.location(path), start=start, end=end))

    def write(self, path: str, content: bytes, *, at_once: bool = True) -> None:
        """Put `content` at `path`, replacing what was there as a whole.

        A folder of this machine has it on the disk when this returns, with all that this process
        wrote before; `at_once` false leaves that to a later write, for what shows by itself when it
        is not whole. Raises StageError when the disk is full or may not be written.
        """
        target = self.location(path)
        parent, name = target.rsplit("/", 1)
        temporary = (
            target if self.is_object_store else f"{parent}/.{name}.{uuid.uuid4().hex}.partial"
        )
        try:
            self._write_in_folder(parent, temporary, content)
            if self.is_local and at_once:
                PENDING.commit(temporary)
            if temporary != target:
                self.filesystem.mv(temporary, target)
            if self.is_local:
                sync_path(parent) if at_once else PENDING.add(target)
        except Exception as error:
            # Clients of object stores have errors of their own.
            if self.is_local and not isinstance(error, OSError):
                raise
            if temporary != target:
                self._remove_quietly(temporary)
            raise StageError(
                f"{path} cannot be written to {self.root} ({_reason(error)}). What was done is "
                f"kept: {_remedy(error)}, and run again."
            ) from error

    def _write_in_folder(self, folder: str, location: str, content: bytes) -> None:
        try:
            self.filesystem.pipe_file(location, content)
        except FileNotFoundError:
            # Most writes find their folder there, and asking first would cost as much as the write.
            self.filesystem.makedirs(folder, exist_ok=True)
            self.filesystem.pipe_file(location, content)

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Return the sorted names of the finished files directly in `folder` that end with
        `suffix`.
        """
        return sorted(self.sizes(folder, suffix))

    def sizes(self, folder: str, suffix: str = "") -> dict[str, int]:
        """Return the bytes of each finished file directly in `folder` that ends with `suffix`, by
        name.
        """
        location = self.location(folder)
        if not self.filesystem.exists(location):
            return {}
        entries = (
            (str(e["name"]).rstrip("/").rsplit("/", 1)[-1], e["size"])
            for e in self.filesystem.ls(location, detail=True)
        )
        return {
            name: int(size or 0)
            for name, size in entries
            if name.endswith(suffix) and not name.startswith(".")
        }

    def set_aside(self, path: str, why: str) -> None:
        """Take a damaged file out of the way, under a hidden name beside it, and say so in the log;
        a missing one is fine.
        """
        location = self.location(path)
        parent, name = location.rsplit("/", 1)
        aside = f"{parent}/.{name}.damaged"
        try:
            self.filesystem.mv(location, aside)
        except FileNotFoundError:
            return
        _log.warning("%s in %s is damaged (%s): set aside as %s.", path, self.root, why, aside)

    def remove(self, path: str) -> None:
        """Remove the file at `path`; a missing one is fine."""
        if self.exists(path):
            self.filesystem.rm(self.location(path))

    def _remove_quietly(self, location: str) -> None:
        # A file system that may not be written has nothing to remove either.
        with suppress(OSError):
            if self.filesystem.exists(location):
                self.filesystem.rm(location)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return "no space is left" if error.errno in NO_SPACE else str(error.strerror or error)
    return str(error).rstrip(".")


def _remedy(error: Exception) -> str:
    if isinstance(error, OSError):
        return _REMEDIES.get(error.errno or 0, _REMEDY)
    return "see that the store answers and that these keys may write to it"


_PAUSE = 0.02


def make_folder(folder: Path, remedy: str) -> None:
    """Make a folder that a person named, with those above it; raises InputError that ends with the
    remedy.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be made ({error.strerror}). {remedy}"
        ) from error


@contextmanager
def hold(path: Path, *, shared: bool = False, seconds: float | None = None) -> Iterator[bool]:
    """Hold the lock of a file while the block runs; gives False when others still hold it.

    `shared`: together with others who do so. `seconds`: how long to wait for it, None for as long
    as it takes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with path.open("w") as file:
        if seconds is None:
            fcntl.flock(file, kind)
            yield True
        else:
            yield _take(file.fileno(), kind, time.monotonic() + seconds)


def _take(file: int, kind: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True
