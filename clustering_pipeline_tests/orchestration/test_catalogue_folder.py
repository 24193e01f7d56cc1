"""The watched folder: what is new, changed, half-written, open, broken, removed."""

import shutil

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.project.ingest import (
    dump_memory,
    load_memory,
    look,
    read_signatures,
    take_in,
)
from clustering_pipeline.storage import FileTree
from clustering_pipeline.synthetic import write_catalogue


class Folder:
    """The catalogue folder of a home, and what the sensor remembers of it."""

    def __init__(self, home, workbook) -> None:
        self.project = Project(PipelineHome(home).prepare())
        self.path = self.project.home.catalogues
        self.path.mkdir()
        self.workbook = workbook
        self.memory = {}

    def drop(self, name: str) -> None:
        shutil.copy(self.workbook, self.path / name)

    def look(self):
        findings, memory = take_in(self.project, FileTree(str(self.path)), self.memory)
        self.memory = load_memory(dump_memory(memory))
        return findings

    def settle(self):
        self.look()
        return self.look()


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_catalogue(
        folder,
        "http://127.0.0.1:1",
        products=1,
        sellers=1,
        listings_per_product=(1, 1),
        problems=(),
    )
    return folder / "catalogue.xlsx"


@pytest.fixture
def folder(tmp_path, workbook) -> Folder:
    return Folder(tmp_path / "home", workbook)


def test_a_new_workbook_is_taken_in_once_it_has_settled(folder):
    folder.drop("Kem chống nắng.xlsx")
    assert folder.look().changed == []
    assert folder.look().changed == ["kem-chong-nang"]
    assert folder.project.sources.load("kem-chong-nang").display_name == "Kem chống nắng"
    assert folder.settle().changed == []


def test_a_file_that_grows_waits(folder):
    folder.drop("serum.xlsx")
    folder.look()
    with (folder.path / "serum.xlsx").open("ab") as file:
        file.write(b"more")
    assert folder.look().changed == []


def test_open_hidden_and_foreign_files_are_left_alone(folder):
    for name in ("~$serum.xlsx", ".hidden.xlsx", "notes.txt", ".~lock.toner.xlsx#"):
        (folder.path / name).write_bytes(b"x")
    folder.drop("serum.xlsx")
    folder.drop("toner.xlsx")
    assert read_signatures(FileTree(str(folder.path))) == {}


def test_a_broken_workbook_is_named_once_and_again_when_it_changed(folder):
    (folder.path / "serum.xlsx").write_bytes(b"this is no workbook")
    assert "serum.xlsx" in folder.settle().problems[0]
    assert folder.settle().problems == []
    (folder.path / "serum.xlsx").write_bytes(b"this is no workbook either")
    assert len(folder.settle().problems) == 1


def test_two_files_of_one_category_are_a_problem(folder):
    folder.drop("Kem chống nắng.xlsx")
    folder.settle()
    folder.drop("kem-chong-nang.xlsx")
    findings = folder.settle()
    assert findings.changed == []
    assert "both give the category kem-chong-nang" in findings.problems[0]


def test_a_removed_workbook_retires_its_category_and_a_returned_one_restores_it(folder):
    folder.drop("serum.xlsx")
    folder.settle()
    (folder.path / "serum.xlsx").unlink()
    assert folder.look().retired == []
    assert folder.look().retired == ["serum"]
    assert folder.project.retired.all() == {"serum"}
    assert folder.project.sources.load("serum").category == "serum"
    folder.drop("serum.xlsx")
    assert folder.settle().changed == ["serum"]
    assert folder.project.retired.all() == set()


def test_a_missing_folder_is_an_input_error_that_names_the_setting(folder):
    shutil.rmtree(folder.path)
    with pytest.raises(InputError, match=r"automation\.catalogue_folder"):
        folder.look()


def test_nothing_is_settled_at_the_first_look():
    assert look({"a.xlsx": "1:1"}, {}).settled == ()


def test_a_file_that_may_not_be_read_leaves_the_others_alone(folder, monkeypatch):
    whole = FileTree.read

    def read(tree, name):
        if name == "toner.xlsx":
            raise PermissionError(13, "Permission denied", name)
        return whole(tree, name)

    monkeypatch.setattr(FileTree, "read", read)
    folder.drop("serum.xlsx")
    folder.drop("toner.xlsx")
    findings = folder.settle()
    assert findings.changed == ["serum"]
    assert "toner.xlsx cannot be read" in findings.problems[0]
