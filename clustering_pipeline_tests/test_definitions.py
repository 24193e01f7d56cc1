"""What Dagster is given: complete, explained, and light to load."""

import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

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
    "grpc",
    "antlr4",
)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> dg.Definitions:
    return build_definitions(Project(PipelineHome(tmp_path_factory.mktemp("home"))))


def test_the_location_has_one_name_wherever_it_is_started():
    """A backfill of the command line names it after its module; others find its runs by that."""
    root = Path(__file__).resolve().parents[1]
    files = [
        yaml.safe_load((root / name).read_text())
        for name in ("workspace.yaml", "docker/workspace.yaml")
    ]
    named = [next(iter(entry.values())) for file in files for entry in file["load_from"]]
    project = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["dagster"]
    names = {entry["location_name"] for entry in named} | {project["code_location_name"]}
    assert names == {project["module_name"]} == {"clustering_pipeline.definitions"}
    assert "-m clustering_pipeline.definitions" in (root / "docs/operation.md").read_text()


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


def test_a_setting_touches_the_stage_that_reads_it_and_what_shows_every_setting(definitions):
    graph = definitions.resolve_asset_graph()
    readers = {
        child.to_user_string()
        for child in graph.get(dg.AssetKey(["settings", "clusters"])).child_keys
    }
    assert readers == {"clusters", "labeled_excel", "category_report"}


def test_only_integrity_and_lost_pictures_block(definitions):
    graph = definitions.resolve_asset_graph()
    blocking = {node.key.name for node in graph.asset_check_nodes if node.blocking}
    assert blocking == {"schema", "unique_keys", "rows_in_rows_out", "enough_pictures"}


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
