import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.storage import LocalDatabase

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT);"


@pytest.fixture
def database(tmp_path):
    return LocalDatabase(
        tmp_path / "new" / "things.sqlite", SCHEMA, "The things in {path} are lost: {error}"
    )


def names(database):
    with database.reading() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM things")]


def test_what_is_written_is_read(database):
    with database.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    assert names(database) == ["a"]


def test_a_block_that_fails_changes_nothing(database):
    with pytest.raises(KeyError), database.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
        raise KeyError
    assert names(database) == []


def test_what_is_no_database_is_said_in_the_owners_words(database):
    database.path.parent.mkdir()
    database.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StageError, match=r"The things in .*things\.sqlite are lost"):
        names(database)


def test_a_damaged_file_that_can_be_replaced_is_set_aside(tmp_path, caplog):
    path = tmp_path / "things.sqlite"
    database = LocalDatabase(path, SCHEMA, "{path} {error}", is_replaceable=True)
    path.write_bytes(b"no database at all" * 100)
    assert names(database) == []
    assert "things.sqlite is damaged" in caplog.text
    assert (tmp_path / ".things.sqlite.damaged").exists()
