from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.stages.download.answers import Failure, Validators, failure
from clustering_pipeline.stages.download.journal import Journal, Picture, journal_key

PICTURE = Picture("a" * 64, "JPEG", 40, 30, 1_234)


def test_what_is_kept_is_found_again(tmp_path):
    with Journal(tmp_path / "download.sqlite") as journal:
        journal.keep("one", PICTURE, Validators('"tag"', "Tue, 01 Jul 2025 10:00:00 GMT"))
        journal.fail(
            [("two", Failure("timeout", "Too slow.", None, transient=True))], "limits", "reach"
        )
    with Journal(tmp_path / "download.sqlite") as journal:
        found = journal.look_up(["one", "two", "three"])
    assert set(found) == {"one", "two"}
    assert (found["one"].picture, found["one"].failure) == (PICTURE, None)
    assert found["one"].validators == Validators('"tag"', "Tue, 01 Jul 2025 10:00:00 GMT")
    assert found["two"].failure == Failure("timeout", "Too slow.", None, transient=True)
    assert (found["two"].limits, found["two"].reach) == ("limits", "reach")


def test_a_failure_leaves_the_picture_and_a_picture_clears_the_failure(tmp_path):
    with Journal(tmp_path / "download.sqlite") as journal:
        journal.keep("one", PICTURE, Validators())
        journal.fail([("one", failure("not_found", "Gone.", 404))], "limits", "reach")
        entry = journal.look_up(["one"])["one"]
        assert (entry.picture, entry.failure.kind) == (PICTURE, "not_found")
        journal.unchanged("one")
        assert journal.look_up(["one"])["one"].failure is None


def test_more_keys_than_a_query_takes_are_looked_up(tmp_path):
    keys = [journal_key(str(number)) for number in range(1_201)]
    with Journal(tmp_path / "download.sqlite") as journal:
        journal.fail([(key, failure("not_found", "Gone.")) for key in keys], "", "")
        assert journal.look_up(keys).keys() == set(keys)


def keep_many(folder, start):
    with Journal(folder / "download.sqlite") as journal:
        for number in range(start, start + 200):
            journal.keep(str(number), PICTURE, Validators())


def test_two_runs_write_at_once(tmp_path):
    with ThreadPoolExecutor(2) as runs:
        list(runs.map(keep_many, [tmp_path] * 2, [0, 100]))
    with Journal(tmp_path / "download.sqlite") as journal:
        assert len(journal.look_up([str(number) for number in range(300)])) == 300


@given(st.text())
def test_any_text_has_a_key_that_hides_it(text):
    key = journal_key(text)
    assert len(key) == 64
    assert key == journal_key(text)
