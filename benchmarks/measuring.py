"""Times of alternatives, run in turn, so that a busy minute of the machine hits them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """Seconds of each run of one alternative, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle run, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The fastest and the slowest run, in seconds."""
        return min(self.seconds), max(self.seconds)


def time_once(work: Callable[[], object]) -> float:
    """Return how many seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleave(
    alternatives: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: int = 1
) -> dict[str, Timings]:
    """Time alternatives in turn: a, b, c, a, b, c, … and return the timings by name.

    Args:
        alternatives: what is timed, by name.
        rounds: timed runs of each.
        warm_up: untimed rounds before them, to fill caches alike.
    """
    runs: dict[str, list[float]] = {name: [] for name in alternatives}
    for number in range(warm_up + rounds):
        for name, work in alternatives.items():
            seconds = time_once(work)
            if number >= warm_up:
                runs[name].append(seconds)
    return {name: Timings(tuple(seconds)) for name, seconds in runs.items()}
