"""How far a run is, in a file that any process can read."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SECONDS_BETWEEN_WRITES = 0.3
StageState = Literal["waiting", "running", "done"]


@dataclass
class BarProgress:
    """One count within a stage: `done` of `total` units, after so many seconds."""

    description: str
    unit: str
    total: int
    done: int = 0
    seconds: float = 0.0


@dataclass
class StageProgress:
    """One stage of a run, with the counts of its work."""

    name: str
    state: StageState = "waiting"
    seconds: float = 0.0
    bars: list[BarProgress] = field(default_factory=list)


class FileProgress:
    """Keeps the stages of a run and their counts, and writes them to a file a few times a second.

    It is a `Progress` and a `StageWatch`; several threads may report at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stages: dict[str, StageProgress] = {}
        self._lock = threading.Lock()
        self._written = 0.0

    def planned(self, stages: Sequence[str]) -> None:
        """Add the stages that come next; settings are read in no time and left out."""
        with self._lock:
            for name in stages:
                if not name.startswith("settings/"):
                    self._stages.setdefault(name, StageProgress(name))
            self._write()

    @contextmanager
    def working_on(self, stage: str) -> Iterator[None]:
        """Count a stage as running while the block makes it."""
        if stage.startswith("settings/"):
            yield
            return
        with self._lock:
            progress = self._stages[stage] = StageProgress(stage, "running")
            self._write()
        started = time.monotonic()
        yield
        with self._lock:
            progress.state, progress.seconds = "done", time.monotonic() - started
            self._write()

    @contextmanager
    def track(self, description: str, total: int, unit: str, /) -> Iterator["FileBar"]:
        """Count a piece of work of the stage that runs."""
        bar = BarProgress(description, unit, total)
        with self._lock:
            running = [stage for stage in self._stages.values() if stage.state == "running"]
            if running:
                running[-1].bars.append(bar)
                self._write()
        yield FileBar(self, bar)
        with self._lock:
            # Work that was found done already is not counted one by one.
            bar.total = bar.done = bar.done or total
            self._write()

    def advanced(self, bar: BarProgress, count: int, seconds: float) -> None:
        """Take note of a bar's progress, and write it where the last time is long enough ago."""
        with self._lock:
            bar.done, bar.seconds = bar.done + count, seconds
            if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
                self._write()

    def _write(self) -> None:
        stages = [asdict(stage) for stage in self._stages.values()]
        replace_file(self._path, {"stages": stages})
        self._written = time.monotonic()


class FileBar:
    """The count of one bar."""

    def __init__(self, progress: FileProgress, bar: BarProgress) -> None:
        self._progress, self._bar = progress, bar
        self._started = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Report that `count` more items are done."""
        self._progress.advanced(self._bar, count, time.monotonic() - self._started)


def read_progress(path: Path) -> list[StageProgress]:
    """Return the stages as they were written last; none before that."""
    if not path.exists():
        return []
    return [
        StageProgress(**{**stage, "bars": [BarProgress(**bar) for bar in stage["bars"]]})
        for stage in json.loads(path.read_bytes())["stages"]
    ]


def replace_file(path: Path, values: dict[str, Any]) -> None:
    """Write JSON so that a reader finds the whole old file or the whole new one."""
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)
