"""One home to a storage."""

import shutil

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.project.keepsakes import take_over


def project_on(home, storage) -> Project:
    project = Project(PipelineHome(home).prepare())
    project.home.settings_file.write_text(f"storage:\n  root: {storage}\n")
    return project


def test_a_second_home_on_a_storage_is_refused_in_words(tmp_path):
    first, second = (project_on(tmp_path / name, tmp_path / "shared") for name in ("one", "two"))
    first.claim_storage()
    first.claim_storage()
    with pytest.raises(InputError, match=rf"belongs to the home {first.home.path}.*storage\.root"):
        second.context("serum", None)
    take_over(second.home, second.storage_root, None)
    second.claim_storage()


def test_a_home_that_moved_keeps_its_storage(tmp_path):
    project_on(tmp_path / "before", tmp_path / "shared").claim_storage()
    shutil.move(tmp_path / "before", tmp_path / "after")
    Project(PipelineHome(tmp_path / "after")).claim_storage()


def test_a_copy_of_a_home_may_not_share_its_storage(tmp_path):
    project_on(tmp_path / "one", tmp_path / "shared").claim_storage()
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    with pytest.raises(InputError, match="belongs to the home"):
        Project(PipelineHome(tmp_path / "copy")).claim_storage()


def test_a_copy_of_a_home_with_the_storage_in_it_is_a_home_of_its_own(tmp_path):
    first = Project(PipelineHome(tmp_path / "one").prepare())
    first.claim_storage()
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    Project(PipelineHome(tmp_path / "copy")).claim_storage()


def test_the_storage_within_another_home_is_refused(tmp_path):
    first = Project(PipelineHome(tmp_path / "one").prepare())
    first.claim_storage()
    with pytest.raises(InputError, match="belongs to the home"):
        project_on(tmp_path / "two", first.home.storage).claim_storage()


def test_a_damaged_mark_is_set_aside(tmp_path):
    project = project_on(tmp_path / "one", tmp_path / "shared")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "owner.json").write_bytes(b"\0\0")
    project.claim_storage()
    assert str(project.home.path) in (tmp_path / "shared" / "owner.json").read_text()
