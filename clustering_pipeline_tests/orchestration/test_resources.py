"""What Dagster's page of resources shows of an installation, and that runs work by the same
settings.
"""

import json
import logging
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.schema import create_schema

from clustering_pipeline.core.engine import LocalEngine, available_cores
from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.jobs import CATEGORY_JOB
from clustering_pipeline.orchestration.resources import (
    FROM_DEFAULTS,
    FROM_SETTINGS,
    GpuResource,
    make_resources,
)
from clustering_pipeline.project import PipelineHome, Project

KEY = "a-key-that-nobody-may-see"
SETTINGS = """\
compute: {device: cpu, precision: fp32, workers: 3}
prompts: {gemini_model: gemini-2.5-pro}
storage: {root: "ROOT"}
categories:
  serum:
    compute: {precision: bf16, workers: 1}
"""
PAGE = """{ allTopLevelResourceDetailsOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "<<in_process>>"}) {
  ... on ResourceDetailsList { results { name description configuredValues { key value } } } } }"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    return Project(PipelineHome(tmp_path / "home").prepare())


def page_of_resources(home: Path, folder: Path) -> dict[str, dict[str, object]]:
    """Return by resource the values that Dagster's UI shows, as it asks for them."""
    code = folder / "location.py"
    code.write_text(
        "from pathlib import Path\n"
        "from clustering_pipeline.definitions import build_definitions\n"
        "from clustering_pipeline.project import PipelineHome, Project\n"
        f"defs = build_definitions(Project(PipelineHome(Path({str(home)!r}))))\n"
    )
    origin = LoadableTargetOrigin(python_file=str(code), working_directory=str(folder))
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(origin))
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, target) as process:
        answer = create_schema().execute(PAGE, context=process.create_request_context())
    assert not answer.errors
    listed = answer.data["allTopLevelResourceDetailsOrError"]["results"]
    assert all(resource["description"] for resource in listed if resource["configuredValues"])
    return {
        resource["name"]: {
            value["key"]: json.loads(value["value"]) for value in resource["configuredValues"]
        }
        for resource in listed
    }


def test_the_page_shows_the_settings_and_nothing_that_is_secret(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    project.home.settings_file.write_text(
        SETTINGS.replace("ROOT", "memory://somebody:a-pass/word@bucket/shop?token=a-token")
    )
    page = page_of_resources(project.home.path, tmp_path)
    assert {"gpu", "gemini", "storage", "engine"} <= set(page)
    assert page["gpu"]["device"] == "cpu"
    assert page["gpu"]["models_folder"] == str(project.home.models)
    assert page["gemini"]["model"] == "gemini-2.5-pro"
    assert page["gemini"]["has_key"] is True
    assert page["storage"]["root"] == "memory://bucket/shop"
    assert page["engine"]["workers"] == 3
    assert not [secret for secret in (KEY, "a-pass", "word@", "a-token") if secret in str(page)]


def test_without_settings_the_defaults_are_shown(project):
    resources = make_resources(project)
    assert resources["gemini"].has_key is False
    assert resources["storage"].root == str(project.home.storage)
    assert resources["engine"].workers == available_cores()
    assert {resource.source for resource in resources.values()} == {FROM_SETTINGS}


def test_settings_that_cannot_be_used_are_said_to_be_so(project):
    project.home.settings_file.write_text("compute: {device: tpu}\n")
    resources = make_resources(project)
    assert {resource.source for resource in resources.values()} == {FROM_DEFAULTS}
    dg.Definitions.validate_loadable(build_definitions(project))


def test_a_run_has_the_settings_of_its_category(project):
    project.home.settings_file.write_text(SETTINGS.replace("ROOT", "memory://shop"))
    shown, log = make_resources(project), logging.getLogger("test")
    other, own = project.context("toner", log), project.context("serum", log)
    assert (
        (other.hardware.device, other.hardware.precision)
        == (shown["gpu"].device, shown["gpu"].precision)
        == ("cpu", "fp32")
    )
    assert isinstance(other.engine, LocalEngine)
    assert isinstance(own.engine, LocalEngine)
    assert other.engine.workers == shown["engine"].workers == 3
    assert (own.hardware.device, own.hardware.precision, own.engine.workers) == ("cpu", "bf16", 1)


def test_a_run_cannot_be_told_other_resources(project):
    job = build_definitions(project).resolve_job_def(CATEGORY_JOB)
    config = {"resources": {"gpu": {"config": {"device": "cpu"}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="gpu"):
        dg.validate_run_config(job, config)


def test_the_device_says_what_it_resolved_to():
    pytest.importorskip("torch")
    asked = GpuResource(device="cpu", precision="auto", models_folder="models")
    assert asked.resolved() == "cpu, fp32"
