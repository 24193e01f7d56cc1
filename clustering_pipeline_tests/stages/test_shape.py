"""Every stage has one shape, and the assets know what each takes without importing it."""

import inspect
from importlib import import_module
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

import clustering_pipeline.stages
from clustering_pipeline.core.manifests import MANIFESTS
from clustering_pipeline.orchestration.assets import CATEGORY_ASSETS
from clustering_pipeline.orchestration.assets.factory import STAGE_METADATA, STAGE_NAMES
from clustering_pipeline.orchestration.assets.results import REPORTED
from clustering_pipeline.settings import STAGES
from clustering_pipeline.stages.catalogue import CatalogueSource
from clustering_pipeline.stages.contract import StageContext, StageResult

FOLDER = Path(clustering_pipeline.stages.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parents[1]).with_suffix("").parts)
    for pattern in ("stage.py", "*_stage.py")
    for path in FOLDER.glob(f"*/{pattern}")
)
DECLARED = {
    spec.key.to_user_string(): spec
    for asset in CATEGORY_ASSETS
    for spec in asset.specs
    if spec.metadata.get(STAGE_METADATA) is not None
}


def parameters_of(module: str) -> dict[str, type]:
    signature = inspect.signature(import_module(module).run)
    return {name: parameter.annotation for name, parameter in signature.parameters.items()}


def test_every_stage_package_has_a_stage():
    packages = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert {module.split(".")[2] for module in MODULES} == packages


@pytest.mark.parametrize("module", MODULES)
def test_a_stage_is_one_function_of_frames_settings_and_context(module):
    signature = inspect.signature(import_module(module).run)
    assert signature.return_annotation is StageResult
    for name, parameter in signature.parameters.items():
        assert (
            parameter.kind is inspect.Parameter.KEYWORD_ONLY
            and parameter.default is inspect.Parameter.empty
        ), name
        if parameter.annotation is pd.DataFrame:
            assert name in MANIFESTS
        elif parameter.annotation is StageContext:
            assert name == "context"
        else:
            # What a shop gives is the one thing that is neither a manifest nor a setting.
            assert parameter.annotation in STAGE_NAMES or parameter.annotation is CatalogueSource


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_asset_hands_its_stage_what_it_takes(name):
    spec = DECLARED[name]
    taken = parameters_of(spec.metadata[STAGE_METADATA])
    frames = {key for key, annotation in taken.items() if annotation is pd.DataFrame}
    settings = {
        STAGE_NAMES[annotation] for annotation in taken.values() if annotation in STAGE_NAMES
    }
    expected = {dg.AssetKey(frame) for frame in frames} | {
        dg.AssetKey(["settings", stage]) for stage in settings
    }
    assert {dependency.asset_key for dependency in spec.deps} == expected
    assert set(taken) - frames == {"context", *(["settings"] if settings else [])}
    assert settings <= set(STAGES)


def test_the_report_tells_of_no_step_that_it_is_not_made_from():
    (report,) = [
        spec
        for asset in CATEGORY_ASSETS
        for spec in asset.specs
        if spec.key == dg.AssetKey("category_report")
    ]
    assert {dg.AssetKey(step) for step in REPORTED} <= {
        dependency.asset_key for dependency in report.deps
    }
