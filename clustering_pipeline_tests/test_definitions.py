"""What Dagster is given: complete, explained, and light to load."""

import subprocess
import sys

import dagster as dg
import pytest

from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import STAGES

FIXED_NAMES = {
    "raw_images",
    "english_prompts",
    "crops",
    "clean_images",
    "embeddings",
    "clusters",
    "labeled_excel",
}
HEAVY = (
    "torch",
    "transformers",
    "ultralytics",
    "cuml",
    "ray",
    "faiss",
    "sklearn",
    "scipy",
    "cv2",
    "onnxruntime",
    "sqlalchemy",
)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> dg.Definitions:
    return build_definitions(Project(PipelineHome(tmp_path_factory.mktemp("home"))))


def test_everything_loads(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_every_stage_has_its_settings_asset_and_the_fixed_names_are_there(definitions):
    names = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    assert {f"settings/{stage}" for stage in STAGES} | FIXED_NAMES <= names


def test_every_asset_explains_itself(definitions):
    for spec in definitions.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert (
            spec.description
            and spec.owners
            and spec.kinds
            and spec.group_name
            and spec.code_version
        ), name
        assert spec.partitions_def is not None or name == "sync_report"


def test_a_setting_touches_the_stage_that_reads_it_and_nothing_before(definitions):
    graph = definitions.resolve_asset_graph()
    readers = {
        child.to_user_string()
        for child in graph.get(dg.AssetKey(["settings", "clusters"])).child_keys
    }
    assert readers == {"clusters"}


def test_only_integrity_checks_block(definitions):
    graph = definitions.resolve_asset_graph()
    blocking = {node.key.name for node in graph.asset_check_nodes if node.blocking}
    assert blocking == {"schema", "unique_keys", "rows_in_rows_out"}


def test_loading_imports_no_model_library():
    code = (
        f"import clustering_pipeline.definitions, sys; print([name for name in {HEAVY!r} if "
        f"name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_a_broken_settings_file_leaves_the_location_loadable(tmp_path):
    home = PipelineHome(tmp_path)
    home.settings_file.write_text("clusters: [\n")
    dg.Definitions.validate_loadable(build_definitions(Project(home)))
