"""The settings of each stage as assets, so that a changed knob touches the stage that reads it and
what follows.
"""

import json

import dagster as dg
import pandas as pd

from clustering_pipeline.core.manifests import SETTINGS, conform
from clustering_pipeline.orchestration.assets.factory import AssetResult, AssetRun, project_asset
from clustering_pipeline.orchestration.sync.lineage import settings_version
from clustering_pipeline.settings import STAGES, StageSettings
from clustering_pipeline.stages.contract import StageResult


def settings_asset(stage: str, settings_class: type[StageSettings]) -> dg.AssetsDefinition:
    """Return the asset `settings/<stage>`: the settings in force for a category, known by their
    fingerprint.
    """

    def settings(run: AssetRun) -> AssetResult:
        in_force = run.project.category_settings(run.category).stage(stage)
        version = settings_version(in_force)
        text = json.dumps(in_force.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
        frame = pd.DataFrame(
            {"stage": [stage], "settings": [text], "fingerprint": [version.data_version]}
        )
        changed = {
            f"changed/{name}": str(value)
            for name, value in in_force.model_dump(mode="json").items()
            if value != settings_class().model_dump(mode="json")[name]
        }
        metadata = {"settings": dg.MetadataValue.json(in_force.model_dump(mode="json")), **changed}
        return AssetResult(
            StageResult(conform(frame, SETTINGS)), version.version, version.data_version, metadata
        )

    purpose = (settings_class.__doc__ or "").strip()
    settings.__doc__ = (
        f"{purpose}\n\nDefaults, then `settings.yaml`, then its section for the "
        f"category, then the run's overrides."
    )
    return project_asset(
        SETTINGS,
        group="settings",
        kinds=["yaml"],
        key=["settings", stage],
        code_version=settings_class.logic_version,
        checks=None,
    )(settings)


settings_assets = [
    settings_asset(stage, settings_class) for stage, settings_class in STAGES.items()
]
