"""How much the server takes on at once: of what is more, some waits and the rest is told so."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clustering_pipeline.core.errors import PipelineError

BUSY = "The server is busy with other requests. Try again in a few seconds."


class BusyError(PipelineError):
    """There is no room for more work now; a later request may find some."""


class Turns:
    """Room of a fixed size, of which work takes a share while it lasts."""

    def __init__(self, room: int, most_waiting: int, seconds: float) -> None:
        """`room`: of all work at once, in any unit. `most_waiting`: how many may wait for theirs,
        each for `seconds` at most.
        """
        self._room, self._most_waiting, self._seconds = room, most_waiting, seconds
        self._left, self._waiting = room, 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, share: int = 1) -> Iterator[None]:
        """Hold `share` of the room, all of it where that is less, while the block runs.

        Raises BusyError when too many wait, or nothing became free in time.
        """
        share = min(share, self._room)
        self._wait_for(share)
        try:
            yield
        finally:
            with self._changed:
                self._left += share
                self._changed.notify_all()

    def _wait_for(self, share: int) -> None:
        with self._changed:
            if self._left < share:
                if self._waiting >= self._most_waiting:
                    raise BusyError(BUSY)
                self._waiting += 1
                try:
                    if not self._changed.wait_for(lambda: self._left >= share, self._seconds):
                        raise BusyError(BUSY)
                finally:
                    self._waiting -= 1
            self._left -= share
