import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.review import CorrectionStore, ListingReference


@pytest.fixture
def store(tmp_path):
    return CorrectionStore(tmp_path / "state" / "corrections.sqlite")


def test_statements_are_read_back_with_author_and_time(store):
    store.same("a", ListingReference("b", "f" * 64), author="Lan")
    store.different("a", "c", author="Minh")
    store.name(7, "Kem chống nắng 50 ml", author="Lan", category="kem-chong-nang")
    frame = store.read()
    store.keep(ListingReference("d", "e" * 64), author="Lan")
    assert store.read().loc[3, ["kind", "id_a", "image_a"]].tolist() == ["keep", "d", "e" * 64]
    assert frame["kind"].tolist() == ["same", "different", "name"]
    assert frame.loc[0, ["id_a", "id_b", "image_b", "author"]].tolist() == [
        "a",
        "b",
        "f" * 64,
        "Lan",
    ]
    assert frame.loc[2, "cluster_id"] == 7
    assert frame["time"].str.endswith("+00:00").all()


def test_a_category_reads_its_own_names_and_every_pair(store):
    store.same("a", "b", author="Lan")
    store.name(7, "x", author="Lan", category="toner")
    assert store.read("toner")["kind"].tolist() == ["same", "name"]
    assert store.read("cleanser")["kind"].tolist() == ["same"]


def test_withdrawing_adds_a_row_and_takes_the_statement_out_of_force(store):
    number = store.same("a", "b", author="Lan")
    store.undo(number, author="Minh")
    assert store.read().empty
    assert store.history()["kind"].tolist() == ["same", "withdraw"]
    with pytest.raises(InputError, match="no correction 1 in force"):
        store.undo(number, author="Minh")


def test_rows_can_be_neither_changed_nor_removed(store):
    store.same("a", "b", author="Lan")
    connection = sqlite3.connect(store.place)
    for statement in ("UPDATE corrections SET id_a = 'z'", "DELETE FROM corrections"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        {"kind": "same", "id_a": "a", "id_b": "a", "author": "x"},
        {"kind": "same", "id_a": "a", "author": "x"},
        {"kind": "different", "id_a": "a", "id_b": "b"},
        {"kind": "name", "cluster_id": -1, "name": "noise", "author": "x"},
        {"kind": "name", "cluster_id": 3, "name": "", "author": "x"},
        {"kind": "keep", "author": "x"},
        {"kind": "keep", "id_a": "a", "id_b": "b", "author": "x"},
        {"kind": "merge", "id_a": "a", "id_b": "b", "author": "x"},
        {"kind": "same", "id_a": "a", "id_b": "b", "author": "x", "colour": "red"},
    ],
)
def test_statements_that_say_nothing_are_refused_with_all_beside_them(store, statement):
    with pytest.raises(InputError, match="Correction 2"):
        store.add([{"kind": "same", "id_a": "a", "id_b": "b", "author": "x"}, statement])
    assert store.read().empty


def test_threads_share_the_store(store):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda index: store.same(f"a{index}", "b", author="x"), range(40)))
    assert sorted(numbers) == list(range(1, 41))


@pytest.mark.parametrize("suffix", [".xlsx", ".csv", ".json"])
def test_files_go_out_and_come_in_once(store, tmp_path, suffix):
    store.same(ListingReference("a", "f" * 64), "b", author="Lan")
    store.name(7, "=Sữa rửa mặt", author="Lan", category="cleanser")
    store.undo(store.different("a", "c", author="Lan"), author="Lan")
    path = tmp_path / f"corrections{suffix}"
    assert store.export_file(path) == 2

    other = CorrectionStore(tmp_path / "other.sqlite")
    assert other.import_file(path) == 2
    assert other.import_file(path) == 0
    columns = ["kind", "id_a", "image_a", "id_b", "cluster_id", "name", "author", "time"]
    assert other.read()[columns].equals(store.read()[columns])


def test_a_file_without_authors_is_signed_by_who_imports_it(store, tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([{"kind": "same", "id_a": 12, "id_b": "b"}]))
    store.import_file(path, author="Minh")
    assert store.read()[["id_a", "author"]].to_numpy().tolist() == [["12", "Minh"]]


@pytest.mark.parametrize(
    "name,content", [("a.csv", b"x,y\n1,2\n"), ("a.json", b"{}"), ("a.xlsx", b"PK"), ("a.txt", b"")]
)
def test_files_that_are_no_corrections_are_refused(store, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        store.import_file(path)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "corrections.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StageError, match=r"corrections\.sqlite"):
        CorrectionStore(path).read()
