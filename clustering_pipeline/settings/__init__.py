"""Every knob: one pydantic class per stage; defaults, then the settings file, then the category, then the run."""

from clustering_pipeline.settings.automation import AutomationSettings, CheckSettings, RefreshSettings
from clustering_pipeline.settings.base import StageSettings
from clustering_pipeline.settings.catalogue import CatalogueSettings
from clustering_pipeline.settings.clean_images import CleanImageSettings
from clustering_pipeline.settings.clusters import ClusterSettings
from clustering_pipeline.settings.crops import CropSettings
from clustering_pipeline.settings.download import DownloadSettings
from clustering_pipeline.settings.embeddings import EmbeddingSettings
from clustering_pipeline.settings.local_features import LocalFeatureSettings
from clustering_pipeline.settings.matches import MatchSettings, TextReaderSettings, VerificationSettings
from clustering_pipeline.settings.pipeline import SETTINGS_FILE, STAGES, PipelineSettings, RunOverrides, SettingsSource
from clustering_pipeline.settings.prompts import PromptSettings
from clustering_pipeline.settings.report import ReportSettings
from clustering_pipeline.settings.runtime import ComputeSettings, StorageSettings
from clustering_pipeline.settings.search import SearchSettings
from clustering_pipeline.settings.semantic_duplicates import SemanticDuplicateSettings
from clustering_pipeline.settings.workbook import WorkbookSettings

__all__ = [
    "SETTINGS_FILE",
    "STAGES",
    "AutomationSettings",
    "CatalogueSettings",
    "CheckSettings",
    "CleanImageSettings",
    "ClusterSettings",
    "ComputeSettings",
    "CropSettings",
    "DownloadSettings",
    "EmbeddingSettings",
    "LocalFeatureSettings",
    "MatchSettings",
    "PipelineSettings",
    "PromptSettings",
    "RefreshSettings",
    "ReportSettings",
    "RunOverrides",
    "SearchSettings",
    "SemanticDuplicateSettings",
    "SettingsSource",
    "StageSettings",
    "StorageSettings",
    "TextReaderSettings",
    "VerificationSettings",
    "WorkbookSettings",
]
