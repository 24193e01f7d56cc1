"""One measured figure beside the one that was asked for, and what a suite is told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


class SuiteUnavailableError(Exception):
    """A suite cannot run here: a data set, a tool or a peer is missing. The message says which."""


@dataclass(frozen=True)
class Options:
    """What a suite is told.

    `scratch` is an empty folder of its own, `datasets` the folder of real photos when there is one,
    `quick` asks for the smallest sizes that still say something, `full` for the largest of those
    suites that have a size beyond their default. Suites of many long trials begin none after `ends`
    (of the monotonic clock), and keep those that are finished in `kept`.
    """

    scratch: Path
    datasets: Path | None = None
    quick: bool = False
    full: bool = False
    kept: Path | None = None
    ends: float | None = None

    def dataset(self, name: str) -> Path:
        """Return the folder of a data set; raises SuiteUnavailableError when it is absent."""
        if self.datasets is None or not (self.datasets / name).is_dir():
            raise SuiteUnavailableError(
                f"the data set {name!r} is absent: set CLUSTERING_PIPELINE_DATASETS to the folder "
                f"that holds it"
            )
        return self.datasets / name


@dataclass(frozen=True)
class Figure:
    """One figure: the median of its runs, the spread, and what was asked.

    `bound` says whether `asked` is the least or the most that is wanted; `asked` is None for
    figures that only inform.
    """

    name: str
    value: float
    unit: str = ""
    asked: float | None = None
    bound: Literal["at least", "at most"] = "at least"
    runs: tuple[float, ...] = ()
    note: str = ""
    details: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the figure is as asked; None when nothing was asked."""
        if self.asked is None:
            return None
        return self.value >= self.asked if self.bound == "at least" else self.value <= self.asked
