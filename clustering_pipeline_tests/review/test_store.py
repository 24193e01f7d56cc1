"""Corrections in a file of SQLite, and as files that people exchange."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import openpyxl
import pytest

from clustering_pipeline.core.corrections import (
    COLUMNS,
    Correction,
    Keep,
    Name,
    Withdraw,
    as_row,
    read_corrections,
)
from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.review import CorrectionStore
from clustering_pipeline.review.actions import names_placed
from clustering_pipeline.review.files import read_corrections_file
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline_tests.review.sayings import different, listing, same, say, statements


@pytest.fixture
def store(tmp_path):
    return CorrectionStore(tmp_path / "state" / "corrections.sqlite")


SAID = [
    same("a", listing("b", "f" * 64)),
    different("a", "c"),
    Name(7, "Kem chống nắng 50 ml"),
    Keep(listing("d", "e" * 64)),
]


def test_statements_are_read_back_with_author_and_time(store):
    for statement in SAID:
        say(store, statement)
    assert statements(store) == SAID
    recorded = store.in_force()
    assert [said.number for said in recorded] == [1, 2, 3, 4]
    assert {said.correction.author for said in recorded} == {"Lan"}
    assert all(said.correction.time.endswith("+00:00") for said in recorded)
    assert read_corrections(store.manifest()) == recorded


def test_a_category_reads_its_own_names_and_every_pair(store):
    say(store, same("a", "b"))
    say(store, Name(7, "x"), category="toner")
    assert statements(store, "toner") == [same("a", "b"), Name(7, "x")]
    assert statements(store, "cleanser") == [same("a", "b")]
    assert store.manifest("cleanser")["kind"].tolist() == ["same"]


def test_withdrawing_adds_a_row_and_takes_the_statement_out_of_force(store):
    number = say(store, same("a", "b"))
    store.undo(number, author="Minh")
    assert statements(store) == [] and store.manifest().empty
    assert [said.statement for said in store.history()] == [same("a", "b"), Withdraw(number)]
    with pytest.raises(InputError, match="no correction 1 in force"):
        store.undo(number, author="Minh")


def test_a_database_of_before_is_read_to_the_byte(store):
    """Rows may hold more than their kind says, which the manifest keeps and no statement has."""
    say(store, same("a", "b"))
    cells = dict.fromkeys(COLUMNS) | {
        "kind": "name",
        "cluster_id": 7,
        "name": "x",
        "id_a": "a",
        "author": "Lan",
        "time": "t",
    }
    with sqlite3.connect(store.place) as connection:
        connection.execute(
            f"INSERT INTO corrections ({', '.join(cells)}) VALUES ({', '.join('?' * len(cells))})",
            list(cells.values()),
        )
    connection.close()
    assert statements(store) == [same("a", "b"), Name(7, "x")]
    assert store.manifest()["id_a"].tolist() == ["a", "a"]
    assert store.add_new([Correction(Name(7, "x"), "Lan")]) == []


def test_a_row_that_cannot_be_understood_is_named(store):
    say(store, same("a", "b"))
    with sqlite3.connect(store.place) as connection:
        connection.execute(
            "INSERT INTO corrections (kind, author, time) VALUES ('merge', 'Lan', 't')"
        )
    connection.close()
    with pytest.raises(InputError, match=r"Correction 2 of .*corrections\.sqlite .*'merge'"):
        store.in_force()


def test_rows_can_be_neither_changed_nor_removed(store):
    say(store, same("a", "b"))
    connection = sqlite3.connect(store.place)
    for statement in ("UPDATE corrections SET id_a = 'z'", "DELETE FROM corrections"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"kind": "same", "id_a": "a", "id_b": "a"}, "with itself"),
        ({"kind": "same", "id_a": "a"}, "lacks one of its two listings"),
        ({"kind": "name", "cluster_id": -1, "name": "noise"}, "no positive cluster_id"),
        ({"kind": "name", "cluster_id": 2.5, "name": "x"}, r"'2\.5', which is no whole number"),
        ({"kind": "name", "cluster_id": 10**30, "name": "x"}, "no positive cluster_id"),
        ({"kind": "name", "cluster_id": 3, "name": ""}, "no name"),
        ({"kind": "keep"}, "does not name one listing"),
        ({"kind": "keep", "id_a": "a", "id_b": "b"}, "does not name one listing"),
        ({"kind": "merge", "id_a": "a", "id_b": "b"}, "of the kind 'merge'"),
        ({"kind": "withdraw"}, "of the kind 'withdraw'"),
        ({"kind": "same", "id_a": "a", "id_b": "b\0"}, "NUL"),
        ({"kind": "same", "id_a": "a", "id_b": "b\ud83d"}, "half a letter"),
        ({"kind": "same", "id_a": "a", "id_b": {"id": "b"}}, "id_b that is neither text nor"),
        ({"kind": "same", "id_a": "a", "id_b": True}, "id_b that is neither text nor"),
        ({"kind": "name", "cluster_id": 3, "name": "x" * 301}, "name of more than 300"),
        ({"kind": "keep", "id_a": "x" * 4001}, "id_a of more than 4,000"),
    ],
)
def test_a_row_that_says_nothing_is_refused_by_its_place_in_the_file(tmp_path, row, problem):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([{"kind": "same", "id_a": "a", "id_b": "b"}, row]))
    with pytest.raises(InputError, match=rf"Correction 2 of pairs\.json .*{problem}"):
        read_corrections_file(path, "Lan", CatalogueSettings())


@pytest.mark.parametrize("author", ["", "L\0n"])
def test_nobody_says_nothing(author):
    with pytest.raises(InputError, match="A correction has"):
        Correction(same("a", "b"), author)


def test_threads_share_the_store(store):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda index: say(store, same(f"a{index}", "b")), range(40)))
    assert sorted(numbers) == list(range(1, 41))


@pytest.mark.parametrize("suffix", [".xlsx", ".csv", ".json"])
def test_files_go_out_and_come_in_once(store, tmp_path, suffix):
    say(store, same(listing("a", "f" * 64), "b"))
    say(store, Name(7, "=Sữa rửa mặt"), category="cleanser")
    say(store, Name(8, "Kem_x0041_\x07 dưỡng"), category="cleanser")
    store.undo(say(store, different("a", "c")), author="Lan")
    path = tmp_path / f"corrections{suffix}"
    assert store.export_file(path) == 3

    incoming = read_corrections_file(path, "import", CatalogueSettings())
    assert incoming == [said.correction for said in store.in_force()]
    other = CorrectionStore(tmp_path / "other.sqlite")
    assert len(other.add_new(incoming)) == 3
    assert other.add_new(incoming) == []
    assert other.manifest().equals(store.manifest())


def test_an_earlier_name_can_be_given_again(store):
    first, second = Correction(Name(7, "first"), "Lan"), Correction(Name(7, "second"), "Lan")
    assert [len(store.add_new([said])) for said in (first, second, second, first)] == [1, 1, 0, 1]
    assert store.new([first, second, second]) == [second]


def test_a_file_without_authors_is_signed_by_who_imports_it(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([{"kind": "same", "id_a": 12, "id_b": "b", "colour": "red"}]))
    [correction] = read_corrections_file(path, "Minh", CatalogueSettings())
    assert correction == Correction(same("12", "b"), "Minh")
    assert as_row(correction)["id_a"] == "12"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"x,y\n1,2\n"),
        ("a.csv", b"kind,id_a,id_a\nsame,1,2\n"),
        ("a.csv", b"\x00\x01\x02\x03" * 50),
        ("a.json", b"{}"),
        ("a.json", b"[" * 100_000),
        ("a.json", b'[{"kind": "sa'),
        ("a.json", b"\xff\xfe\xfd"),
        ("a.xlsx", b"PK"),
        ("a.xlsx", b"PK\x03\x04 nothing"),
        ("a.txt", b""),
    ],
)
def test_files_that_are_no_corrections_are_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_corrections_file(path, "Lan", CatalogueSettings())


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "corrections.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StageError, match=r"corrections\.sqlite"):
        CorrectionStore(path).in_force()


def table_of(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return book


def test_ids_are_the_text_that_they_are_in_a_catalogue(tmp_path):
    path = tmp_path / "pairs.xlsx"
    book = table_of(path, ["kind", "id_a", "id_b"], ["same", 45, 893456789012345])
    book.active["B2"].number_format = '"SP"0000'
    book.save(path)
    [correction] = read_corrections_file(path, "Lan", CatalogueSettings())
    assert correction.statement == same("SP0045", "893456789012345")


def test_a_cell_far_from_the_table_costs_no_memory(tmp_path):
    path = tmp_path / "pairs.xlsx"
    book = table_of(path, ["kind", "id_a", "id_b"], ["same", "a", "b"])
    book.active.cell(1_048_576, 16_384, "x")
    book.save(path)
    with pytest.raises(InputError, match=r"pairs\.xlsx span .* cells"):
        read_corrections_file(path, "Lan", CatalogueSettings())


def test_a_name_is_that_of_one_category():
    names = [Correction(Name(7, "Kem"), "Lan"), Correction(Name(7, "Sữa"), "Lan", "cleanser")]
    pairs = [Correction(same("a", "b"), "Lan")]
    placed = names_placed([*names, *pairs], ["serum"])
    assert [said.category for said in placed] == ["serum", "cleanser", None]
    with pytest.raises(InputError, match=r"'Kem' of cluster 7 .*cleanser, serum beside it"):
        names_placed(names, ["cleanser", "serum"])
    assert names_placed(pairs, ["cleanser", "serum"]) == pairs
