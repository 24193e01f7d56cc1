"""What the process of a run writes for the pages."""

from clustering_pipeline.web.background import CategoryState, ClusterChange, Outcome
from clustering_pipeline.web.background.reports import FileProgress, compare, read_progress


def test_stages_and_their_counts_can_be_read_while_they_run(tmp_path):
    path = tmp_path / "progress.json"
    progress = FileProgress(path)
    assert read_progress(path) == []
    progress.planned(["settings/download", "catalogue", "raw_images"])
    assert [(stage.name, stage.state) for stage in read_progress(path)] == [
        ("catalogue", "waiting"),
        ("raw_images", "waiting"),
    ]
    with progress.working_on("settings/download"), progress.working_on("catalogue"):
        pass
    with progress.working_on("raw_images"), progress.track("Fetching", 5, "picture") as bar:
        bar.advance(2)
        held = read_progress(path)
        assert [stage.state for stage in held] == ["done", "running"]
        assert held[1].bars[0].total == 5 and held[1].bars[0].unit == "picture"
    ended = read_progress(path)[1]
    assert ended.state == "done" and ended.bars[0].done == ended.bars[0].total == 2


def test_work_that_was_found_done_is_whole(tmp_path):
    progress = FileProgress(tmp_path / "progress.json")
    with progress.working_on("matches"), progress.track("Matches", 7, "pair"):
        pass
    assert read_progress(tmp_path / "progress.json")[0].bars[0].done == 7


def test_a_stage_that_fails_stays_the_one_that_ran(tmp_path):
    progress = FileProgress(tmp_path / "progress.json")
    try:
        with progress.working_on("matches"):
            raise RuntimeError("no memory")
    except RuntimeError:
        pass
    assert read_progress(tmp_path / "progress.json")[0].state == "running"


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
