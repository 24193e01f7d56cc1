"""What cannot be made again: noticed when it is lost, restored from its copy, refused when it is
another.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.review.sayings import different, same, say, statements

PRODUCTS = [frozenset({"a", "b"}), frozenset({"c"})]


@pytest.fixture
def project(tmp_path) -> Project:
    place = Project(PipelineHome(tmp_path / "home").prepare())
    register(place).number("serum", PRODUCTS)
    say(place.corrections, different("a", "b"))
    place.keepsakes.keep()
    return place


def register(project: Project) -> NumberRegister:
    project.keepsakes.check(layout.CLUSTER_NUMBERS)
    return NumberRegister(project.home.state / layout.CLUSTER_NUMBERS)


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribble(path: Path) -> None:
    path.write_bytes(b"\0" * 4096)


def empty_tables(path: Path) -> None:
    path.unlink()
    NumberRegister(path).current("serum")


@pytest.mark.parametrize("damage", [lose, empty, scribble, empty_tables])
def test_numbers_that_are_lost_are_restored(project, damage, caplog):
    damage(project.home.state / layout.CLUSTER_NUMBERS)
    # Were the register made again, the second product would come first and get the number 1.
    numbers, _ = register(project).number("serum", [PRODUCTS[1], frozenset({"d", "e", "f"})])
    assert numbers == [2, 3]
    assert "cluster numbers" in caplog.text and "was restored" in caplog.text


@pytest.mark.parametrize("damage", [lose, empty, scribble])
def test_corrections_that_are_lost_are_restored(project, damage, caplog):
    say(project.corrections, same("c", "d"))
    damage(project.home.state / layout.CORRECTIONS)
    assert statements(project.corrections) == [different("a", "b"), same("c", "d")]
    assert "record of corrections" in caplog.text


def test_an_older_register_is_refused_in_words(project, tmp_path):
    path = project.home.state / layout.CLUSTER_NUMBERS
    older = shutil.copyfile(path, tmp_path / "older")
    register(project).number("serum", [*PRODUCTS, frozenset({"d"})])
    project.keepsakes.keep()
    path.unlink()
    shutil.move(older, path)
    with pytest.raises(StageError, match=r"it is older: .*results end at 1, and there were 2"):
        register(project)
    # What the sentence says to do.
    path.unlink()
    assert register(project).number("serum", [frozenset({"d"})])[0] == [3]


def test_the_register_of_another_home_is_refused_in_words(project, tmp_path):
    other = Project(PipelineHome(tmp_path / "other").prepare())
    register(other).number("serum", [*PRODUCTS, frozenset({"d"})])
    other.keepsakes.keep()
    path = project.home.state / layout.CLUSTER_NUMBERS
    path.unlink()
    shutil.copyfile(other.home.state / layout.CLUSTER_NUMBERS, path)
    with pytest.raises(StageError, match="of another installation"):
        register(project)


def test_nothing_is_begun_anew_without_a_word_when_the_copy_is_lost_too(project):
    (project.home.state / layout.CLUSTER_NUMBERS).unlink()
    (project.home.storage / layout.COPIES / layout.CLUSTER_NUMBERS).write_bytes(b"")
    with pytest.raises(StageError, match=r"so is the copy .* new numbers"):
        register(project)


def test_a_register_that_is_ahead_of_its_copy_is_right(project):
    """A run that is killed after it gave numbers leaves one."""
    register(project).number("serum", [*PRODUCTS, frozenset({"d"})])
    again = Project(project.home)
    assert register(again).number("serum", [frozenset({"d"})])[0] == [3]


def test_a_copy_is_a_whole_database(project):
    copy = project.home.storage / layout.COPIES / layout.CORRECTIONS
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT kind, id_a FROM corrections").fetchall() == [
            ("different", "a")
        ]
