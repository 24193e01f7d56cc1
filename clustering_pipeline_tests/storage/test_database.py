"""What several machines share: a real PostgreSQL, its schema, and who has the turn."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg2
import pytest
from sqlalchemy import text

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.outputs.report.history import ResultHistory
from clustering_pipeline.outputs.workbook import deliver_workbook
from clustering_pipeline.review.actions import _TABLES as LOOKED_AT
from clustering_pipeline.review.store import _TABLES as CORRECTIONS
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.stages.download.answers import Validators, failure
from clustering_pipeline.stages.download.journal import Journal, Picture
from clustering_pipeline.storage import SharedDatabase
from clustering_pipeline.storage.database import REVISION, schema_version
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]
NOVELTY = frozenset({"n"})
NUMBERS = count()


def sets(*words: str) -> list[frozenset[str]]:
    return [frozenset(word) for word in words]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("shared") / "server") as environment:
        yield environment


@pytest.fixture
def database(server) -> SharedDatabase:
    # One of its own for each test: a process does not look twice whether the tables are there.
    return SharedDatabase(empty_database(server, f"shared_{next(NUMBERS)}"))


def test_the_schema_is_made_once_by_many_who_come_first_at_once(server):
    address = empty_database(server, "first")
    program = (
        "import sys; from clustering_pipeline.storage import SharedDatabase; "
        "print(SharedDatabase(sys.argv[1]).identity)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, address], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    identities = {process.communicate()[0].strip() for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(identities) == 1
    with SharedDatabase(address).connection() as connection:
        assert schema_version(connection) == REVISION


def test_the_newest_revision_is_the_one_that_is_named(database):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "clustering_pipeline:storage/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


@pytest.mark.parametrize("tables", [CORRECTIONS, LOOKED_AT], ids=["corrections", "looked at"])
def test_migrations_make_the_columns_that_the_stores_read(database, tables):
    with database.connection() as connection:
        for table in tables.tables.values():
            found = connection.execute(
                text(
                    "SELECT column_name, is_nullable FROM information_schema.columns WHERE "
                    "table_schema = 'clustering_pipeline' AND table_name = :name"
                ),
                {"name": table.name},
            )
            expected = {column.name: "YES" if column.nullable else "NO" for column in table.columns}
            assert dict(found.tuples().all()) == expected


def test_a_schema_of_a_newer_release_is_refused_in_words(server):
    address = empty_database(server, "newer")
    assert SharedDatabase(address).identity
    connection = psycopg2.connect(address)
    connection.cursor().execute("UPDATE clustering_pipeline.schema_version SET version_num = '9'")
    connection.commit()
    connection.close()
    program = (
        "import sys; from clustering_pipeline.storage import SharedDatabase; "
        "SharedDatabase(sys.argv[1]).identity"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, address], capture_output=True, text=True, check=False
    )
    assert "are of revision 9, and this program knows them up to" in run.stderr


def test_tables_of_an_older_release_stay_where_that_finds_them(server):
    address = empty_database(server, "older")
    connection = psycopg2.connect(address)
    connection.cursor().execute(
        "CREATE TABLE corrections (number BIGSERIAL PRIMARY KEY, withdrawn BIGINT)"
    )
    connection.commit()
    connection.close()
    with SharedDatabase(address).connection() as shared:
        assert shared.execute(text("SELECT to_regclass('corrections')::text")).scalar() in (
            "corrections",
            "public.corrections",
        )
        query = text("SELECT to_regclass('clustering_pipeline.corrections')")
        assert shared.execute(query).scalar() is None


def test_the_password_is_in_no_message(database):
    wrong = SharedDatabase(database.address.replace(":secret@", ":wrong-secret@"))
    with pytest.raises(StageError, match=r"postgresql://dagster@127\.0\.0\.1") as caught:
        assert wrong.identity
    assert "secret" not in str(caught.value) + repr(wrong) + str(caught.value.__cause__)
    with pytest.raises(InputError, match="not well formed") as refused:
        assert SharedDatabase("postgresql://u:wrong-secret@host:port/x").name
    assert "secret" not in str(refused.value)


def test_numbers_are_those_that_a_file_gives(database, tmp_path):
    registers = NumberRegister(database), NumberRegister(tmp_path / "numbers.sqlite")
    for grouping in (sets("ab", "c"), sets("ab", "cd", "e"), sets("abcd", "e"), sets("e", "f")):
        first, second = (register.number("toner", grouping) for register in registers)
        assert first == second
    frames = [register.events("toner").drop(columns="time") for register in registers]
    assert frames[0].equals(frames[1])
    assert registers[0].current("toner") == registers[1].current("toner")
    assert registers[0].current("serum") == {}


def test_many_who_number_one_category_give_no_number_twice(database):
    def number(word: str) -> list[int]:
        return NumberRegister(database).number("toner", [frozenset({word}), NOVELTY])[0]

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(number, [f"member {row}" for row in range(40)]))
    states = NumberRegister(database).states("toner")
    assert len({members for _, members in states}) == len({number for number, _ in states}) == 41
    assert len({numbers[0] for numbers in given}) == 40


def test_what_was_issued_cannot_be_changed(database):
    NumberRegister(database).number("toner", sets("ab"))
    for table in ("states", "results", "events"):
        connection = psycopg2.connect(database.address)
        with pytest.raises(psycopg2.errors.RaiseException, match="only ever added"):
            connection.cursor().execute(f"DELETE FROM clustering_pipeline.{table}")
        connection.close()


def test_the_journal_of_one_machine_is_read_by_another(database):
    picture = Picture("a" * 64, "PNG", 4, 5, 6)
    with Journal(database) as journal:
        journal.fail([("k2", failure("not_found", "It is gone.", 404))], "limits", "reach")
        journal.keep("k2", picture, Validators("etag", None))
        journal.fail([("k1", failure("not_found", "It is gone.", 404))], "limits", "reach")
    with Journal(database) as journal:
        known = journal.look_up(["k1", "k2", "k3"])
        journal.forget("k1")
        assert set(journal.look_up(["k1", "k2"])) == {"k2"}
    assert known["k1"].failure is not None and known["k1"].failure.http_status == 404
    assert known["k2"].picture == picture and known["k2"].failure is None


def test_a_file_of_the_same_name_on_another_machine_is_not_taken_for_an_edited_one(
    database, tmp_path
):
    source, output = tmp_path / "shop.xlsx", tmp_path / "shop.clustered.xlsx"
    source.write_bytes(b"source")
    assert deliver_workbook(b"of the first", output, source, database).path == output
    content = output.read_bytes()
    output.write_bytes(b"of the second")
    deliver_workbook(b"of the second", output, source, database)
    # The first machine again, whose file the record of the second has not displaced.
    output.write_bytes(content)
    assert deliver_workbook(b"newer", output, source, database).message is None
    output.write_bytes(b"edited by hand")
    assert "edited" in str(deliver_workbook(b"newest", output, source, database).message)


def test_the_history_of_results_is_shared(database):
    assert ResultHistory(database).changes("toner", []) is None
    assert ResultHistory(database).changes("toner", []) is None


HOLD = """
import sys, time
from clustering_pipeline.storage import SharedDatabase
with SharedDatabase(sys.argv[1]).turns.turn("the category toner") as is_mine:
    print(is_mine, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holding(database: SharedDatabase) -> Iterator["subprocess.Popen[str]"]:
    """Have another process take the turn while the block runs."""
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, database.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert held.stdout is not None and held.stdout.readline() == "True\n"
        yield held
    finally:
        held.kill()
        held.wait()


def test_a_turn_is_one_process_s_and_says_whose(database):
    turns = database.turns
    with holding(database) as held:
        with turns.turn("the category serum") as other, turns.turn("the category toner") as mine:
            assert other and not mine
        assert f"process {held.pid} of the machine " in turns.holder("the category toner")
        started = time.monotonic()
        with turns.turn("the category toner", seconds=1.0) as mine:
            assert not mine
        assert 1.0 <= time.monotonic() - started < 3.0
    with turns.turn("the category toner", seconds=10.0) as mine, turns.turn("the category toner"):
        assert mine
        assert turns.holder("the category toner") == ""


def test_turns_outlive_the_loss_of_their_connection(database):
    turns = database.turns
    with turns.turn("the category toner") as mine:
        assert mine
        cut(database)
        turns.confirm()
        with ThreadPoolExecutor(1) as pool:
            other = SharedDatabase(database.address + "?")
            assert pool.submit(lambda: taken(other, "the category toner")).result() is False


def test_a_turn_that_went_to_another_is_missed_in_words(database, monkeypatch):
    monkeypatch.setattr("clustering_pipeline.storage.turns._SECONDS_OF_THE_GONE", 0.5)
    with database.turns.turn("the category toner"):
        cut(database)
        with (
            holding(database) as other,
            pytest.raises(StageError, match=f"the category toner went to process {other.pid} "),
        ):
            database.turns.confirm()


def taken(database: SharedDatabase, name: str) -> bool:
    with database.turns.turn(name) as is_mine:
        return is_mine


def cut(database: SharedDatabase) -> None:
    """Have the server end the connections of everybody else, as a restart does."""
    connection = psycopg2.connect(database.address)
    connection.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
        "datname = current_database()"
    )
    connection.close()


def test_a_restart_of_the_server_is_waited_for(tmp_path):
    """A run in another process goes on numbering while the server goes and comes back."""
    with postgres(tmp_path / "server") as server:
        address = empty_database(server, "restarted")
        running = subprocess.Popen(
            [sys.executable, "-c", NUMBER, address], stdout=subprocess.PIPE, text=True
        )
        assert running.stdout is not None and running.stdout.readline() == "started\n"
    with postgres(tmp_path / "server"):
        result = json.loads(running.communicate(timeout=120)[0])
        states = NumberRegister(SharedDatabase(address)).states("toner")
    assert len(result["numbers"]) == len(set(result["numbers"])) == 60
    assert set(result["numbers"]) <= {number for number, _ in states}
    assert result["interrupted"] <= 2


NUMBER = """
import json, sys
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import SharedDatabase
register, given, interrupted = NumberRegister(SharedDatabase(sys.argv[1])), [], 0
register.number("toner", [frozenset({"first"})])
print("started", flush=True)
row = 0
import time
while row < 60:
    try:
        numbers, _ = register.number("toner", [frozenset({f"member {row}"})])
    except StageError:
        interrupted += 1
        continue
    given += numbers
    row += 1
    time.sleep(0.05)
print(json.dumps({"numbers": given, "interrupted": interrupted}))
"""
