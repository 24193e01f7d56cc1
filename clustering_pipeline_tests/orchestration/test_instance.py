"""Dagster's databases: half made, damaged, full, and not to be written."""

import sqlite3
from contextlib import closing

import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.orchestration.runtime.instance import (
    add_category,
    known_categories,
    open_instance,
)
from clustering_pipeline.project import PipelineHome


@pytest.fixture
def home(tmp_path, monkeypatch) -> PipelineHome:
    place = PipelineHome(tmp_path / "home").prepare()
    monkeypatch.setenv("DAGSTER_HOME", str(place.path))
    with open_instance(place) as instance:
        add_category(instance, "serum")
    return place


@pytest.mark.parametrize("half_made", [b"", b"tables"])
@pytest.mark.parametrize("name", ["runs.db", "runs/index.db"])
def test_a_database_that_was_never_finished_is_made_anew(home, name, half_made):
    path = home.path / "history" / name
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    with closing(sqlite3.connect(path)) as database:
        if half_made:
            database.execute("CREATE TABLE event_logs (id INTEGER)")
            database.execute("CREATE TABLE alembic_version (version_num TEXT)")
            database.commit()
    with open_instance(home) as instance:
        add_category(instance, "toner")
        assert "toner" in known_categories(instance)
        assert list(instance.get_runs()) == []


def test_a_damaged_database_is_said_in_words_with_its_folder_and_what_helps(home):
    index = home.path / "history" / "runs" / "index.db"
    index.write_bytes(b"no database at all" * 1000)
    words = rf"{home.path}/history .*not a database.*Move the folder"
    with pytest.raises(StageError, match=words), open_instance(home) as instance:
        known_categories(instance)
    (home.path / "history").rename(home.path / "away")
    with open_instance(home) as instance:
        assert known_categories(instance) == []


def test_a_full_disk_is_said_in_words(home):
    with (
        pytest.raises(StageError, match=r"disk is full.*Free some space"),
        open_instance(home) as instance,
        instance.event_log_storage.index_connection() as connection,
    ):
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE more AS SELECT hex(randomblob(1000000)) AS text")


def test_other_errors_stay_what_they_are(home):
    with pytest.raises(KeyError), open_instance(home):
        raise KeyError("category")


def test_another_database_that_cannot_be_used_is_not_taken_for_dagsters(home):
    with pytest.raises(StageError, match=r"^The numbers cannot be read\.$"), open_instance(home):
        try:
            raise sqlite3.OperationalError("unable to open database file")
        except sqlite3.Error as error:
            raise StageError("The numbers cannot be read.") from error
