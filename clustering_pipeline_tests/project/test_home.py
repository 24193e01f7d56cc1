"""Where an installation lives."""

import logging

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.progress import LogProgress
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.project.project import CHECKOUT


def test_the_variable_names_the_home_and_it_is_filled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "new"))
    home = PipelineHome.find().prepare()
    assert "telemetry" in (tmp_path / "new" / "dagster.yaml").read_text()
    (tmp_path / "new" / "dagster.yaml").write_text("mine")
    home.prepare()
    assert (tmp_path / "new" / "dagster.yaml").read_text() == "mine"


def test_without_the_variable_it_is_the_checkouts(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert PipelineHome.find().path == CHECKOUT / "dagster_home"


def test_a_home_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="DAGSTER_HOME"):
        PipelineHome(tmp_path / "file" / "home").prepare()


def test_the_storage_root_is_a_setting(tmp_path):
    home = PipelineHome(tmp_path).prepare()
    assert Project(home).storage_root == str(tmp_path / "storage")
    home.settings_file.write_text(f"storage:\n  root: {tmp_path / 'elsewhere'}\n")
    digest = Project(home).blobs.put(b"x")
    assert (tmp_path / "elsewhere" / "blobs" / digest[:2]).is_dir()


def test_progress_reaches_the_log(caplog):
    with (
        caplog.at_level(logging.INFO),
        LogProgress(logging.getLogger("run"), seconds=0.0).track("Fetching", 2, "picture") as bar,
    ):
        bar.advance()
        bar.advance()
    assert "1 of 2" in caplog.messages[0]
    assert caplog.messages[-1].startswith("Fetching (picture): 2 in ")
