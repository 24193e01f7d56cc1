import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.stages.clustering.numbering import assign_numbers


def sets(*words):
    return [frozenset(word) for word in words]


@pytest.fixture
def register(tmp_path):
    return NumberRegister(tmp_path / "state" / "numbers.sqlite")


def test_new_numbers_go_to_the_largest_first(register):
    assert register.number("toner", sets("ab", "cdef", "gh"))[0] == [2, 1, 3]


def test_numbers_stay_whatever_the_order_of_the_clusters(register):
    register.number("toner", sets("ab", "cdef", "gh"))
    assert register.number("toner", sets("gh", "ab", "cdef"))[0] == [3, 2, 1]


def test_a_grown_cluster_keeps_its_number_and_a_new_one_gets_a_new_one(register):
    register.number("toner", sets("abc", "de"))
    assert register.number("toner", sets("abcxyz", "de", "uvw"))[0] == [1, 2, 3]


def test_of_a_split_the_larger_part_keeps_the_number(register):
    register.number("toner", sets("abcde"))
    assert register.number("toner", sets("ab", "cde"))[0] == [2, 1]


def test_a_merge_keeps_the_number_of_the_larger_and_a_setting_changed_back_gives_both_back(
    register,
):
    before = sets("abcd", "efg", "hi")
    numbers = register.number("toner", before)[0]
    assert register.number("toner", sets("abcdefg", "hi"))[0] == [1, 3]
    assert register.number("toner", before)[0] == numbers


def test_a_number_is_not_used_for_another_product(register):
    register.number("toner", sets("abcde", "xy"))
    register.number("toner", sets("xy"))
    assert register.number("toner", sets("fghij", "xy"))[0] == [3, 2]
    # One listing out of five is not the product.
    assert register.number("toner", sets("apqrs"))[0] == [4]


def test_categories_count_for_themselves(register):
    register.number("toner", sets("ab"))
    assert register.number("cleanser", sets("cd", "ef"))[0] == [1, 2]


def test_twice_the_same_adds_nothing(register):
    register.number("toner", sets("ab", "cd"))
    states = register.states("toner")
    register.number("toner", sets("cd", "ab"))
    assert register.states("toner") == states


def test_what_happened_to_numbers_is_a_table(register):
    register.number("toner", sets("abcdef", "ghi", "jk"))
    register.number("toner", sets("abc", "def", "ghi", "mno"))
    register.number("toner", sets("abcdef", "ghi", "mno"))
    register.number("toner", sets("abcdef", "ghi", "mno"))
    events = register.events("toner")[["kind", "number", "other"]].astype(object)
    first, second, third = events[:3], events[3:6], events[6:]
    assert first["kind"].tolist() == ["birth"] * 3
    assert sorted(second["kind"]) == ["birth", "retirement", "split"]
    assert third["kind"].tolist() == ["merge"]
    assert set(register.current("toner").values()) == set(sets("abcdef", "ghi", "mno"))


def test_what_was_issued_cannot_be_changed(register):
    register.number("toner", sets("ab"))
    connection = sqlite3.connect(register.place)
    with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
        connection.execute("DELETE FROM states")
    connection.close()


def test_a_register_that_is_no_database_stops_the_stage(register):
    register.place.parent.mkdir()
    register.place.write_bytes(b"no database" * 100)
    with pytest.raises(StageError, match=r"numbers\.sqlite"):
        register.number("toner", sets("ab"))


groupings = st.lists(st.integers(0, 5), min_size=1, max_size=12).map(
    lambda labels: [
        frozenset(f"m{i}" for i, other in enumerate(labels) if other == label)
        for label in sorted(set(labels))
    ]
)


@given(st.lists(groupings, min_size=1, max_size=5))
def test_any_history_can_be_returned_to(history):
    states, issued = [], []
    for clusters in history:
        numbers = assign_numbers(clusters, states)
        assert len(set(numbers)) == len(numbers)
        issued.append(dict(zip(clusters, numbers, strict=True)))
        states += [state for state in zip(numbers, clusters, strict=True) if state not in states]
    for clusters, numbers in zip(history, issued, strict=True):
        again = dict(zip(clusters, assign_numbers(clusters, states), strict=True))
        assert again == numbers
