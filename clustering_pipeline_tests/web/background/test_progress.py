from clustering_pipeline.web.background.progress import FileProgress, read_progress


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
