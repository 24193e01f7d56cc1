"""What every stage is handed besides its manifests and settings, and what it returns; and what each
stage is made from: its module, the frames it takes, and the settings.

A stage is a module `stage` (`<what>_stage` where a package has several) with one function `run`.
All its parameters are keywords: frames named as their manifests, settings by class, and `context`.
Dagster's assets are declared from `STEPS`, and whoever runs the stages without Dagster follows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from clustering_pipeline.core.engine import BatchFunction, Engine, LocalEngine
from clustering_pipeline.core.hardware import Hardware, Precision
from clustering_pipeline.core.manifests import (
    CLEAN_IMAGES,
    CLUSTERS,
    CROPS,
    EMBEDDINGS,
    ENGLISH_PROMPTS,
    LOCAL_FEATURES,
    MATCHES,
    OFFERS,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    Manifest,
)
from clustering_pipeline.core.progress import CacheCount, Facts, Progress, SilentProgress
from clustering_pipeline.settings import (
    STAGES,
    CleanImageSettings,
    ClusterSettings,
    CropSettings,
    DownloadSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    OfferSettings,
    PipelineSettings,
    PromptSettings,
    SemanticDuplicateSettings,
    StageSettings,
)
from clustering_pipeline.storage import BlobStore, FeatureTables, Place

if TYPE_CHECKING:
    from clustering_pipeline.storage import SharedDatabase

Item = TypeVar("Item")
Result = TypeVar("Result")


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

    def map_batches(
        self,
        function: BatchFunction[Item, Result],
        items: Sequence[Item],
        title: str,
        unit: str,
        *,
        batch_size: int,
    ) -> Iterator[list[Result]]:
        """Yield what the engine makes of every batch of items, in their order, with its progress.

        `title`: what is done; `unit`: what one item is called ("picture").
        """
        with self.progress.track(title, len(items), unit) as bar:
            for results in self.engine.map_batches(function, items, batch_size=batch_size):
                bar.advance(len(results))
                yield results

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


STAGES_PACKAGE = "clustering_pipeline.stages"
_SECTIONS = {settings: name for name, settings in STAGES.items()}


@dataclass(frozen=True)
class Step:
    """One stage.

    `stage`: its module below `clustering_pipeline.stages`, imported by the run that needs it.
    `inputs`: the frames that it takes by the names of their manifests; `settings`: the class of
    each parameter that takes settings.
    """

    manifest: Manifest
    stage: str
    inputs: tuple[str, ...]
    settings: Mapping[str, type[StageSettings]]

    @property
    def module(self) -> str:
        """The full name of the module."""
        return f"{STAGES_PACKAGE}.{self.stage}"

    def compute(self, arguments: Mapping[str, Any], context: StageContext) -> StageResult:
        """Run the stage on its frames and settings; raises what the stage raises."""
        made: StageResult = import_module(self.module).run(**arguments, context=context)
        return made

    def run(
        self,
        frames: Mapping[str, pd.DataFrame],
        settings: PipelineSettings,
        context: StageContext,
    ) -> StageResult:
        """Run the stage on the frames and the sections of settings that it takes."""
        arguments: dict[str, Any] = {name: frames[name] for name in self.inputs}
        sections = {
            name: settings.stage(_SECTIONS[settings_class])
            for name, settings_class in self.settings.items()
        }
        return self.compute(arguments | sections, context)


# In an order in which they can run; `catalogue`, `overruled_pictures` and `corrections` come from
# outside.
STEPS: Mapping[str, Step] = {
    "offers": Step(OFFERS, "offers.stage", ("catalogue",), {"settings": OfferSettings}),
    "raw_images": Step(
        RAW_IMAGES, "download.stage", ("catalogue",), {"settings": DownloadSettings}
    ),
    "english_prompts": Step(ENGLISH_PROMPTS, "prompts.stage", (), {"settings": PromptSettings}),
    "crops": Step(
        CROPS,
        "detection.stage",
        ("raw_images", "english_prompts", "catalogue"),
        {"settings": CropSettings},
    ),
    "clean_images": Step(
        CLEAN_IMAGES,
        "deduplication.clean_stage",
        ("crops", "raw_images", "overruled_pictures"),
        {"settings": CleanImageSettings},
    ),
    "local_features": Step(
        LOCAL_FEATURES, "features.stage", ("clean_images",), {"settings": LocalFeatureSettings}
    ),
    "embeddings": Step(
        EMBEDDINGS,
        "embedding.stage",
        ("clean_images", "local_features"),
        {"settings": EmbeddingSettings},
    ),
    "semantic_duplicates": Step(
        SEMANTIC_DUPLICATES,
        "deduplication.semantic_stage",
        ("embeddings", "clean_images", "overruled_pictures"),
        {
            "embedding_settings": EmbeddingSettings,
            "settings": SemanticDuplicateSettings,
            "filter_settings": CleanImageSettings,
        },
    ),
    "matches": Step(
        MATCHES,
        "matching.stage",
        (
            "embeddings",
            "local_features",
            "clean_images",
            "crops",
            "raw_images",
            "catalogue",
            "semantic_duplicates",
        ),
        {"settings": MatchSettings},
    ),
    "clusters": Step(
        CLUSTERS,
        "clustering.stage",
        (
            "catalogue",
            "raw_images",
            "crops",
            "clean_images",
            "semantic_duplicates",
            "embeddings",
            "matches",
            "corrections",
        ),
        {"settings": ClusterSettings},
    ),
}
