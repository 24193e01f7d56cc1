"""How much memory a process and all that it started take together, looked at while they run (Linux,
proc(5)).
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_SECONDS_BETWEEN_LOOKS = 0.1
_GONE = (OSError, ValueError, IndexError)


class MemoryWatch:
    """Watches the processes below one while the block runs.

    What they share counts once among them (proportional set size). A short peak of one process
    between two looks is known from its own high-water mark.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.peak = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on)

    def __enter__(self) -> "MemoryWatch":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def gigabytes(self) -> float:
        """The most that was seen, in 10⁹ bytes."""
        return self.peak / 1e9

    def _look_on(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            taken = [_taken(pid) for pid in _tree(self._pid)]
            together = sum(now for now, _ in taken)
            self.peak = max([self.peak, together, *(most for _, most in taken)])


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it; those that end meanwhile are left out."""
    yield pid
    with suppress(*_GONE):
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _taken(pid: int) -> tuple[int, int]:
    """Return the bytes that a process takes now, and the most that it ever took, 0 once it is
    gone.
    """
    try:
        folder = _PROC / str(pid)
        now = _kilobytes((folder / "smaps_rollup").read_text(), "Pss:")
        most = _kilobytes((folder / "status").read_text(), "VmHWM:")
    except _GONE:
        return 0, 0
    return now * 1024, most * 1024


def _kilobytes(text: str, name: str) -> int:
    return int(text.split(f"\n{name}", 1)[1].split(maxsplit=1)[0])
