"""The storage of one installation, found again from the settings file whenever a run asks."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline.core.engine import make_engine
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import ProgressListener
from clustering_pipeline.project.home import PipelineHome, Retirement
from clustering_pipeline.settings import (
    ComputeSettings,
    PipelineSettings,
    RunOverrides,
    SettingsSource,
)
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree, ManifestStore, layout

if TYPE_CHECKING:
    from clustering_pipeline.review import CorrectionStore, ReviewProgress
    from clustering_pipeline.stages.catalogue import SourceRecords


@dataclass(frozen=True)
class Project:
    """Home, settings and storage, from which a run makes the context of its stages."""

    home: PipelineHome
    overrides: RunOverrides = field(default_factory=RunOverrides)
    listener: ProgressListener = field(default_factory=ProgressListener)

    @property
    def settings(self) -> SettingsSource:
        """The settings file of the home under the overrides of this run."""
        return SettingsSource(self.home.settings_file, self.overrides)

    def category_settings(self, category: str) -> PipelineSettings:
        """Return the settings in force for `category`; raises InputError."""
        return self.settings.category(category)

    @property
    def catalogue_folder(self) -> str:
        """The folder or fsspec URL that is watched for workbooks; raises InputError."""
        return self.settings.installation().automation.catalogue_folder or str(self.home.catalogues)

    @property
    def storage_root(self) -> str:
        """`storage.root`, else the folder below the home; raises InputError when the settings file
        cannot be used.
        """
        return self.settings.installation().storage.root or str(self.home.storage)

    def files(self, folder: str) -> FileTree:
        """Return the part of the storage that is called `folder`, one of `layout.FOLDERS`."""
        return FileTree(f"{self.storage_root}/{folder}")

    @property
    def outputs(self) -> FileTree:
        """What is made for people: a folder per category."""
        return self.files(layout.OUTPUTS)

    def search_root(self, category: str) -> str:
        """Return the folder or URL of a category's search index."""
        return (
            f"{self.storage_root}/{layout.OUTPUTS}/{layout.output(category, layout.SEARCH_INDEX)}"
        )

    @property
    def sources(self) -> "SourceRecords":
        """The record of every category's catalogue."""
        from clustering_pipeline.stages.catalogue import SourceRecords

        return SourceRecords(FileTree(self.storage_root), self.blobs)

    @property
    def retired(self) -> Retirement:
        """Which categories are no longer kept up to date."""
        return Retirement(FileTree(self.storage_root))

    @property
    def corrections(self) -> "CorrectionStore":
        """What people said about the results of all categories."""
        from clustering_pipeline.review import CorrectionStore

        return CorrectionStore(self._review_place(layout.CORRECTIONS))

    @property
    def review_progress(self) -> "ReviewProgress":
        """Which clusters of all categories somebody has looked at."""
        from clustering_pipeline.review import ReviewProgress

        return ReviewProgress(self._review_place(layout.REVIEW_PROGRESS))

    @property
    def blobs(self) -> BlobStore:
        """The pictures, crops and features, by content."""
        return BlobStore(f"{self.storage_root}/{layout.BLOBS}")

    @property
    def manifests(self) -> ManifestStore:
        """The manifests that the assets returned last."""
        return ManifestStore(self.files(layout.MANIFESTS))

    def context(self, category: str, log: logging.Logger) -> StageContext:
        """Return what the stages of a run of `category` are handed; raises InputError."""
        root, compute = self.storage_root, self.category_settings(category).compute
        return StageContext(
            blobs=BlobStore(f"{root}/{layout.BLOBS}"),
            tables=FeatureTables(f"{root}/{layout.FEATURES}"),
            state=self.home.state,
            engine=make_engine(compute.engine, compute.workers),
            progress=self.listener.of(log),
            hardware=self.hardware(compute),
            category=category,
        )

    def hardware(self, compute: ComputeSettings) -> Hardware:
        """Return what `compute` asks of the neural models, with the home's folder of models where
        it names none.
        """
        return Hardware(
            compute.device,
            compute.precision,
            Path(compute.models) if compute.models else self.home.models,
        )

    def _review_place(self, file: str) -> Path | str:
        url = self.settings.installation().storage.corrections
        return self.home.state / file if url is None else url.get_secret_value()
