"""Runs in processes of their own: real ones, of categories that cannot be finished or that somebody
holds.
"""

import os
import signal
import subprocess
import sys
import threading

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.storage import hold
from clustering_pipeline.web.background import BackgroundRuns, RunningAlreadyError


@pytest.fixture
def home(tmp_path):
    return PipelineHome(tmp_path / "home").prepare()


@pytest.fixture
def runs(home):
    return BackgroundRuns(home)


@pytest.fixture
def recorded(home):
    """A category whose workbook names nothing that can be fetched."""
    workbook = home.path / "toner.csv"
    workbook.write_text("product_base_id,url_thumbnail\n1,no address\n", encoding="utf-8")
    home.settings_file.write_text("download:\n  retries: 0\n", encoding="utf-8")
    return Project(home).sources.record(workbook, "Toner").category


def ended(runs, name):
    """The run once its process is gone."""
    with hold(runs.get(name).folder / "lock", shared=True, seconds=120) as is_free:
        assert is_free
    return runs.get(name)


def kept_waiting(home):
    """Hold every turn, so that a run begins no work, until the returned event is set."""
    release, taken = threading.Event(), threading.Barrier(3)

    def keep(number):
        with hold(home.state / "background" / f"turn-{number}.lock"):
            taken.wait()
            release.wait()

    for number in range(2):
        threading.Thread(target=keep, args=(number,), daemon=True).start()
    taken.wait()
    return release


def test_a_run_that_cannot_be_finished_says_why(runs):
    started = runs.start("nobody-knows-it", "Nobody knows it", "run", "lan")
    run = ended(runs, started.name)
    assert run.state == "failed" and run.outcome is None
    assert "No catalogue is recorded for the category 'nobody-knows-it'" in run.message
    assert run.asked.author == "lan"


def test_a_category_that_is_worked_on_is_not_started_again(runs, home, recorded):
    release = kept_waiting(home)
    started = runs.start(recorded, "Toner", "run", "lan")
    with pytest.raises(RunningAlreadyError, match="Toner is being worked on") as refused:
        runs.start(recorded, "Toner", "apply", "minh")
    assert refused.value.run == started.name
    runs.cancel(started.name)
    release.set()
    assert ended(runs, started.name).state == "cancelled"


def test_a_command_that_works_on_the_category_is_told(runs, home):
    with (
        home.working_on("toner"),
        pytest.raises(RunningAlreadyError, match="A command or a run of Dagster"),
    ):
        runs.start("toner", "Toner", "run", "lan")


def test_a_process_that_is_killed_counts_as_failed_and_can_be_started_again(runs, home, recorded):
    release = kept_waiting(home)
    started = runs.start(recorded, "Toner", "run", "lan")
    process = started.folder / "process"
    while not process.exists() or not process.read_text():
        threading.Event().wait(0.05)
    os.kill(int(process.read_text()), signal.SIGKILL)
    run = ended(runs, started.name)
    assert run.state == "failed" and "gone without a word" in run.message
    again = runs.start(recorded, "Toner", "run", "lan")
    runs.cancel(again.name)
    release.set()
    assert ended(runs, again.name).state == "cancelled"
    assert [one.name for one in runs.all()] == [again.name, started.name]
    assert runs.of(recorded).name == again.name


@pytest.mark.parametrize("name", ["../../etc", "", "20260101-000000-00000000", "A" * 100])
def test_a_run_that_is_not_there_is_refused_in_words(runs, name):
    with pytest.raises(InputError, match="no such run"):
        runs.get(name)


def test_the_process_of_a_run_loads_no_server():
    code = (
        "import sys, clustering_pipeline.web.background.worker; "
        "print({'fastapi', 'uvicorn', 'faiss'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_files_that_a_power_cut_left_count_as_missing(runs):
    run = ended(runs, runs.start("nobody-knows-it", "Nobody knows it", "run", "lan").name)
    for left in (b"", b"\0" * 100, b'{"state": "do', b"[]"):
        for file in ("outcome.json", "progress.json"):
            (run.folder / file).write_bytes(left)
        found = runs.get(run.name)
        assert found.state == "failed" and "gone without a word" in found.message
        assert found.stages == []
        (run.folder / "draft").write_bytes((run.folder / "asked.json").read_bytes())
        (run.folder / "asked.json").write_bytes(left)
        assert list(runs.all()) == []
        with pytest.raises(InputError, match="no such run"):
            runs.get(run.name)
        (run.folder / "draft").replace(run.folder / "asked.json")
