"""Every knob: one pydantic class per stage; defaults, then the settings file, then the category,
then the run.
"""

from clustering_pipeline.settings.base import StageSettings
from clustering_pipeline.settings.images import (
    CatalogueSettings,
    CleanImageSettings,
    CropSettings,
    DownloadSettings,
    OfferSettings,
    PromptSettings,
    QualityLimits,
)
from clustering_pipeline.settings.installation import (
    AutomationSettings,
    CheckSettings,
    ComputeSettings,
    RefreshSettings,
    StorageSettings,
)
from clustering_pipeline.settings.pipeline import (
    SETTINGS_FILE,
    STAGES,
    PipelineSettings,
    RunOverrides,
    SettingsSource,
)
from clustering_pipeline.settings.products import (
    ClusterSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    ReportSettings,
    SearchSettings,
    SemanticDuplicateSettings,
    TextReaderSettings,
    VerificationSettings,
    WorkbookSettings,
)

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
    "OfferSettings",
    "PipelineSettings",
    "PromptSettings",
    "QualityLimits",
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
