"""Makes files last through a loss of power: what was written is brought to the disk in groups.

The kernel keeps what is written in memory for half a minute. To wait for the disk after each small
file would take longer than most stages; a group of files costs little more than one.
"""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

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
