"""Things that visitors left with the server for a while, under names that cannot be guessed."""

import secrets
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from clustering_pipeline.serve.library import UnknownError

Thing = TypeVar("Thing")


class Shelf(Generic[Thing]):
    """Holds things up to a total size; what was not asked for longest gives way first, the newest never."""

    def __init__(self, room: int, gone: str) -> None:
        """`room`: the total size; `gone`: what to say when a thing is no longer there."""
        self._room = room
        self._gone = gone
        self._held: OrderedDict[str, tuple[Thing, int]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, thing: Thing, size: int) -> str:
        """Hold a thing and return its name."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._held[name] = thing, size
            while len(self._held) > 1 and sum(size for _, size in self._held.values()) > self._room:
                self._held.popitem(last=False)
        return name

    def get(self, name: str) -> Thing:
        """Return the thing of that name; raises UnknownError when it has given way."""
        with self._lock:
            if name not in self._held:
                raise UnknownError(self._gone)
            self._held.move_to_end(name)
            return self._held[name][0]
