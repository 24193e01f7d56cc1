"""What the process of a run writes for the pages: how far it is, in a file that any process can
read, and in the end what it changed in the clusters of its category.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from clustering_pipeline.core.corrections import Name
from clustering_pipeline.core.manifests import CATALOGUE, CLUSTERS, CORRECTIONS
from clustering_pipeline.stages.clustering import changes_between
from clustering_pipeline.storage import ManifestStore

SECONDS_BETWEEN_WRITES = 0.3
_log = logging.getLogger(__name__)
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
    written = read_file(path) or {"stages": []}
    return [
        StageProgress(**{**stage, "bars": [BarProgress(**bar) for bar in stage["bars"]]})
        for stage in written["stages"]
    ]


def read_file(path: Path) -> dict[str, Any] | None:
    """Return what `replace_file` wrote; None where nothing is, or what a power cut or a full disk
    left cannot be read.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        _log.warning("%s cannot be read (%s): it counts as missing.", path, error)
        return None
    return values if isinstance(values, dict) else None


def replace_file(path: Path, values: dict[str, Any]) -> None:
    """Write JSON so that a reader finds the whole old file or the whole new one."""
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)


# Of the changes that are told one by one.
MOST_TOLD = 200
ChangeKind = Literal["birth", "retirement", "split", "merge", "left", "joined", "name"]


@dataclass(frozen=True)
class ClusterChange:
    """A cluster that is new, gone, split off `other`, merged into `other`, that listings left which
    have no cluster now, that such ones joined, or that has a new `name`.
    """

    kind: ChangeKind
    number: int
    other: int | None = None
    listings: int = 0
    name: str = ""


@dataclass(frozen=True)
class CategoryState:
    """A category at one moment: the cluster of every listing, None where it has none, and the names
    that people gave to clusters.
    """

    placed: Mapping[str, int | None]
    names: Mapping[int, str]

    @classmethod
    def read(cls, manifests: ManifestStore, category: str) -> "CategoryState | None":
        """Return the state that the last run left; None before there was one."""
        clusters = manifests.read(CLUSTERS.name, category)
        catalogue = manifests.read(CATALOGUE.name, category)
        if clusters is None or catalogue is None:
            return None
        frame = clusters.merge(catalogue[["listing", "product_base_id"]], on="listing")
        # One id may stand on several rows.
        again = frame.groupby("product_base_id", dropna=False).cumcount()
        keys = frame["product_base_id"].astype(str) + "\n" + again.astype(str)
        numbers = frame["cluster_id"].where(frame["cluster_id"] >= 0)
        placed = {
            key: None if pd.isna(number) else int(number)
            for key, number in zip(keys, numbers, strict=True)
        }
        return cls(placed, _names(manifests.read(CORRECTIONS.name, category)))

    @property
    def clusters(self) -> dict[int, frozenset[str]]:
        """The listings of every cluster."""
        members: dict[int, set[str]] = {}
        for listing, number in self.placed.items():
            if number is not None:
                members.setdefault(number, set()).add(listing)
        return {number: frozenset(listings) for number, listings in members.items()}


def _names(corrections: pd.DataFrame | None) -> dict[int, str]:
    if corrections is None:
        return {}
    said = corrections[corrections["kind"] == Name.kind]
    return {
        int(number): str(name)
        for number, name in zip(said["cluster_id"], said["name"], strict=True)
    }


@dataclass(frozen=True)
class Outcome:
    """What a finished run did: `moved` counts the listings whose cluster is another than before,
    `runs` are those of Dagster.
    """

    changes: tuple[ClusterChange, ...] = ()
    moved: int = 0
    materialised: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    is_first: bool = False
    waiting: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Outcome":
        """Return the outcome that `as_json` wrote."""
        lists = {name: tuple(values[name]) for name in ("materialised", "runs", "waiting")}
        changes = tuple(ClusterChange(**one) for one in values["changes"])
        return cls(**{**values, **lists, "changes": changes})

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return asdict(self)


def compare(
    before: CategoryState | None, after: CategoryState | None
) -> tuple[tuple[ClusterChange, ...], int]:
    """Return the changes from one state to the next, those that people see first, and how many
    listings have another cluster; nothing where there was no state before.
    """
    if before is None or after is None:
        return (), 0
    old, new = before.clusters, after.clusters
    changes = [
        ClusterChange(change.kind, change.number, change.other, change.members)
        for change in changes_between(old, new)
    ]
    moves = [
        (was, after.placed[listing])
        for listing, was in before.placed.items()
        if listing in after.placed and after.placed[listing] != was
    ]
    alone = Counter(was for was, now in moves if now is None and was in new)
    joined = Counter(now for was, now in moves if was is None and now in old)
    changes += [ClusterChange("left", number, listings=count) for number, count in alone.items()]
    changes += [ClusterChange("joined", number, listings=count) for number, count in joined.items()]
    named = [
        ClusterChange("name", number, listings=len(new[number]), name=name)
        for number, name in sorted(after.names.items())
        if before.names.get(number) != name and number in new
    ]
    return tuple([*changes, *named][:MOST_TOLD]), len(moves)
