"""Progress of long work: for a terminal, for the Dagster log, or for nobody."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class ProgressBar(Protocol):
    """One stage's running count."""

    def advance(self, count: int = 1) -> None:
        """Report that `count` more items are done."""


class Progress(Protocol):
    """Opens a bar per piece of work; the terminal, the Dagster log and silence are its
    implementations.
    """

    def track(
        self, description: str, total: int, unit: str, /
    ) -> AbstractContextManager[ProgressBar]:
        """Open a bar over `total` items named `unit` (singular: "picture")."""


class SilentProgress:
    """Reports nothing: the default for tests and library use."""

    @contextmanager
    def track(self, _description: str, _total: int, _unit: str, /) -> Iterator[ProgressBar]:
        """Open a bar that nobody sees."""
        yield self

    def advance(self, count: int = 1) -> None:
        """Forget the count."""


SECONDS_BETWEEN_LINES = 10.0


class LogProgress:
    """Writes a line to a log every few seconds."""

    def __init__(self, log: logging.Logger, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        """`seconds`: least time between two lines of one bar."""
        self.log = log
        self.seconds = seconds

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator["LoggedBar"]:
        """Log how far the work is while the block runs, and how fast it was at its end."""
        bar = LoggedBar(self, description, total, unit)
        yield bar
        bar.close()


class LoggedBar:
    """The count of one piece of work."""

    def __init__(self, progress: LogProgress, description: str, total: int, unit: str) -> None:
        self.progress = progress
        self.description = description
        self.total = total
        self.unit = unit
        self.done = 0
        self.started = self.logged = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Report that `count` more items are done."""
        self.done += count
        now = time.monotonic()
        if now - self.logged >= self.progress.seconds:
            self.logged = now
            rate = self.done / (now - self.started)
            left = max(self.total - self.done, 0) / rate
            self._write(
                f"{self.done:,} of {self.total:,}, {rate:.1f} a second, about {left:.0f} s left"
            )

    def close(self) -> None:
        """Log the total and the time taken."""
        self._write(f"{self.done:,} in {time.monotonic() - self.started:.1f} s")

    def _write(self, text: str) -> None:
        self.progress.log.info("%s (%s): %s", self.description, self.unit, text)


class StageWatch(Protocol):
    """Hears which stages a run will make, and when each begins and ends."""

    def planned(self, stages: Sequence[str]) -> None:
        """Take the names of the stages that are made next, in order."""

    def working_on(self, stage: str) -> AbstractContextManager[None]:
        """Hear of a stage while the block makes it."""


class ProgressListener:
    """Who hears of progress: the terminal of the command line, or the log of the run; and who hears
    of its stages.
    """

    def __init__(self, terminal: Progress | None = None, watch: StageWatch | None = None) -> None:
        """`terminal`: hears instead of the log, when given."""
        self.terminal = terminal
        self._watch = watch

    def of(self, log: logging.Logger) -> Progress:
        """Return what a stage that runs under `log` reports to."""
        return self.terminal or LogProgress(log)

    def planned(self, stages: Sequence[str]) -> None:
        """Tell which stages are made next."""
        if self._watch is not None:
            self._watch.planned(stages)

    def working_on(self, stage: str) -> AbstractContextManager[None]:
        """Tell that a stage is made while the block runs."""
        return nullcontext() if self._watch is None else self._watch.working_on(stage)
