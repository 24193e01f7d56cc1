"""The same store in PostgreSQL: a real server, shared by several who correct at once."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from clustering_pipeline.core.corrections import Correction, Name, Withdraw
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.outputs.report import review_order
from clustering_pipeline.review import CorrectionStore, ReviewProgress
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres
from clustering_pipeline_tests.outputs.report import samples
from clustering_pipeline_tests.review.sayings import same, say, statements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("corrections") / "server") as environment:
        yield environment


@pytest.fixture
def place(server):
    """A database of this test's own."""
    return empty_database(server, "corrections")


def test_statements_are_kept_read_and_undone(place, tmp_path):
    store = CorrectionStore(place)
    number = say(store, same("a", "b"), category="toner")
    named = Name(7, "Kem chống nắng 50 ml")
    say(store, named, author="Minh")
    store.undo(number, author="Lan")
    again = CorrectionStore(place)
    assert statements(again) == [named]
    assert [said.statement for said in again.history()] == [same("a", "b"), named, Withdraw(number)]
    with pytest.raises(InputError, match="no correction 1 in force"):
        store.undo(number, author="Lan")
    in_file = CorrectionStore(tmp_path / "corrections.sqlite")
    in_file.add([said.correction for said in again.in_force()])
    assert in_file.manifest()["name"].tolist() == again.manifest()["name"].tolist()


def test_many_at_once_lose_and_double_nothing(place):
    said = [Correction(same(f"a{row}", "b"), "Lan") for row in range(20)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: len(CorrectionStore(place).add_new(said)), range(8)))
        numbers = list(
            pool.map(lambda row: say(CorrectionStore(place), same(f"c{row}", "d")), range(16))
        )
    assert sorted(added) == [0] * 7 + [20]
    assert len(set(numbers)) == 16
    assert len(CorrectionStore(place).in_force()) == 36


def test_rows_can_be_neither_changed_nor_removed(place):
    store = CorrectionStore(place)
    say(store, same("a", "b"))
    for statement in (
        "UPDATE corrections SET id_a = 'z'",
        "DELETE FROM corrections",
        "TRUNCATE corrections",
    ):
        connection = psycopg2.connect(place)
        with pytest.raises(psycopg2.errors.RaiseException, match="only ever added"):
            connection.cursor().execute(statement)
        connection.close()
    assert statements(store) == [same("a", "b")]


def test_what_was_looked_at_is_shared_too(place, tmp_path):
    cluster = review_order(samples.tables(samples.context(tmp_path)))[0]
    ReviewProgress(place).mark("toner", cluster, author="Lan")
    ReviewProgress(place).mark("toner", cluster, author="Minh")
    assert ReviewProgress(place).looked_at("toner", [cluster]) == {cluster.cluster_id}
    ReviewProgress(place).clear("toner", cluster)
    assert ReviewProgress(place).looked_at("toner", [cluster]) == set()


def test_the_password_is_in_no_message(place):
    store = CorrectionStore(place.replace(":secret@", ":wrong-secret@"))
    with pytest.raises(StageError, match=r"postgresql://dagster@127\.0\.0\.1") as caught:
        store.in_force()
    assert "wrong-secret" not in str(caught.value) + store.place + repr(caught.value.__cause__)
