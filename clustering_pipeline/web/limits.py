"""How much the server takes on at once: connections, which may take so long to say what they want,
and work, of which some waits and the rest is told so.

Without a limit a thousand connections that send half a request keep everybody else out.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

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


# Of the 1,024 files that a process may usually open, some are needed for pictures and databases.
MOST_CONNECTIONS = 500
# Seconds from the first byte, or the beginning of a connection, to the end of a request's head.
HEAD_SECONDS = 10.0
# How long requests under way may go on once the server was told to end. One that sends a little now
# and then would keep it for ever.
ENDING_SECONDS = 5


class LimitedProtocol(H11Protocol):
    """A connection that is closed when the head of a request takes too long, or when newer ones
    need its place while it has said nothing whole.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, in the place of the one that waits longest where all are
        taken.
        """
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            waiting = [
                one
                for one in self.connections
                if isinstance(one, LimitedProtocol) and one._head_timer
            ]
            (min(waiting, key=_deadline) if waiting else self).give_up()
        if not transport.is_closing():
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close the connection, unless it is answered."""
        self._stop_waiting()
        if not self._is_answering():
            self.connections.discard(self)
            self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _deadline(connection: LimitedProtocol) -> float:
    return connection._head_timer.when() if connection._head_timer else float("inf")


def server_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves the application, with the limits on connections; `options` are its
    own.
    """
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=ENDING_SECONDS,
        **options,
    )
