from clustering_pipeline.web.background import CategoryState, ClusterChange, Outcome
from clustering_pipeline.web.background.changes import compare


def state(names=None, **placed):
    return CategoryState(placed, names or {})


def test_a_cluster_that_was_split_names_the_part_and_where_it_came_from():
    before = state(a=1, b=1, c=1, d=1)
    after = state(a=1, b=1, c=2, d=2)
    assert compare(before, after) == ((ClusterChange("split", 2, 1, 2),), 2)


def test_a_merge_names_the_cluster_that_is_left():
    before = state(a=1, b=1, c=2, d=2)
    after = state(a=1, b=1, c=1, d=1)
    assert compare(before, after) == ((ClusterChange("merge", 2, 1, 2),), 2)


def test_listings_that_are_alone_now_left_and_those_that_were_joined():
    before = state(a=1, b=1, c=1, d=2, e=2, f=None)
    after = state(a=1, b=1, c=None, d=2, e=2, f=2)
    changes, moved = compare(before, after)
    assert changes == (
        ClusterChange("left", 1, listings=1),
        ClusterChange("joined", 2, listings=1),
    )
    assert moved == 2


def test_a_name_counts_once_it_is_another():
    before = state({1: "Toner"}, a=1, b=1)
    after = state({1: "Toner hoa hồng", 9: "of a cluster that is gone"}, a=1, b=1)
    assert compare(before, after) == (
        (ClusterChange("name", 1, listings=2, name="Toner hoa hồng"),),
        0,
    )
    assert compare(after, after) == ((), 0)


def test_listings_that_came_or_went_with_the_workbook_did_not_move():
    assert compare(state(a=1, b=1, c=1), state(a=1, b=1, d=1)) == ((), 0)


def test_a_first_run_changes_nothing():
    assert compare(None, state(a=1)) == ((), 0)


def test_an_outcome_comes_back_as_it_was_written():
    outcome = Outcome((ClusterChange("merge", 2, 1, 2),), 2, ("clusters",), ("run",), False, ())
    assert Outcome.from_json(outcome.as_json()) == outcome
