"""Locks between the processes of one machine, which end with their holder however it ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.02


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
