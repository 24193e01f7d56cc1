"""What every stage is handed besides its manifests and settings, and what it returns.

A stage is a module `stage` (`<what>_stage` where a package has several) with one function `run`.
All its parameters are keywords: frames named as their manifests, settings by class, and `context`.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clustering_pipeline.core.engine import Engine, LocalEngine
from clustering_pipeline.core.hardware import Hardware, Precision
from clustering_pipeline.core.progress import CacheCount, Facts, Progress, SilentProgress
from clustering_pipeline.storage import BlobStore, FeatureTables, Place

if TYPE_CHECKING:
    from clustering_pipeline.storage import SharedDatabase


@dataclass(frozen=True)
class StageContext:
    """Storage, engine and progress of one run.

    Stages compute; the context is all they know of the world.
    """

    blobs: BlobStore
    tables: FeatureTables
    # A local folder for what must be a database, and for what is cheap to make again.
    state: Path
    engine: Engine = field(default_factory=LocalEngine)
    progress: Progress = field(default_factory=SilentProgress)
    hardware: Hardware = field(default_factory=Hardware)
    # The slug of the category whose stages these are; numbers and drawings are kept by it.
    category: str = ""
    # Where the databases are that would lie in `state`, when several machines share them.
    database: "SharedDatabase | None" = None

    def place(self, name: str) -> Place:
        """Return where the tables are that a file of this name in `state` would hold."""
        return self.database or self.state / name

    @property
    def cache(self) -> CacheCount:
        """What was asked of the caches so far; feature tables count by themselves."""
        return self.tables.count

    def for_host(self, precision: Precision) -> "StageContext":
        """Return what a model is loaded with in a worker of the engine: picklable, and in the
        number format that the fingerprint of the caches was made with.
        """
        hardware = replace(self.hardware, precision=precision)
        return replace(self, engine=LocalEngine(1), progress=SilentProgress(), hardware=hardware)


@dataclass(frozen=True)
class StageResult:
    """A stage's manifest and the facts about the run that a person wants to see.

    What every run tells is measured around it: rows, cache hits and misses, seconds.
    """

    manifest: pd.DataFrame
    facts: Facts = field(default_factory=dict)
