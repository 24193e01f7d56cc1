"""What work tells of itself: progress while it is long, for a terminal, for the Dagster log or for
nobody; and facts once it is done, counts, shares and times by name, as people see them.

Every asset has `rows`, `cache_hits`, `cache_misses`, `seconds` and `rows_per_second`, measured in
one place; a stage adds what only it knows.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
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


Fact = int | float | str
# Names are words with underscores. One that ends in `_svg` has the sha256 of a drawing as its fact.
Facts = Mapping[str, Fact]


@dataclass
class CacheCount:
    """How many rows were asked of the caches of a run: `hits` were held, `misses` were computed."""

    hits: int = 0
    misses: int = 0

    def add(self, asked: int, cached: int) -> None:
        """Count rows that were asked for, so many of which were held."""
        self.hits += cached
        self.misses += asked - cached


def measured_facts(rows: int, cache: CacheCount, seconds: float) -> dict[str, Fact]:
    """Return the facts that every asset has; `rows`: those of its result."""
    return {
        "rows": rows,
        "cache_hits": cache.hits,
        "cache_misses": cache.misses,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 1) if seconds else 0.0,
    }


def commonest(texts: Iterable[str], most: int) -> list[tuple[str, int]]:
    """Return at most `most` different texts with how often each comes, the commonest first.

    >>> commonest(["gone", "late", "gone"], 1)
    [('gone', 2)]
    """
    counts = Counter(texts)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def current_name(name: str) -> str:
    """Return what a fact is called now; earlier names were phrases such as "rejected: too small".

    >>> current_name("rejected: too small")
    'rejected_too_small'
    >>> current_name("gemini was not used")
    'gemini_failure'
    """
    phrase = name.removesuffix(" was not used") + " failure" if name.endswith(" used") else name
    return re.sub(r"\W+", "_", phrase)
