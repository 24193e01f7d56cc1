"""What becomes of runs whose processes die, and of backfills, with the real daemon and
webserver.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import yaml

from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import write_catalogue
from clustering_pipeline_tests.cli.shops import GatedShop, open_shop
from clustering_pipeline_tests.docker.processes import Web, free_port, process, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CATEGORIES = ("serum", "toner")
LISTINGS = 4
TOOLS, MODULE = Path(sys.executable).parent, ["-m", "clustering_pipeline.definitions"]
BACKFILL = """mutation ($keys: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $keys, assetSelection: $assets}) {
    __typename ... on LaunchBackfillSuccess { backfillId } } }"""


class Installation:
    """A home with two recorded categories, whose shop can be told to keep its answers back."""

    def __init__(self, project: Project, instance: dg.DagsterInstance, shop: GatedShop) -> None:
        self.project, self.instance, self.shop = project, instance, shop
        self.path = project.home.path
        self.environment = {**os.environ, "DAGSTER_HOME": str(self.path)}

    def daemon(self, log: str = "daemon.log"):
        return process(
            [str(TOOLS / "dagster-daemon"), "run", *MODULE],
            self.environment,
            self.path.parent / log,
        )

    def webserver(self, port: int):
        command = [str(TOOLS / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), *MODULE]
        return process(command, self.environment, self.path.parent / "webserver.log")

    def sync_by_itself(self) -> None:
        """Let the sensor `sync` ask for the runs."""
        settings = yaml.safe_load(self.project.home.settings_file.read_text())
        self.project.home.settings_file.write_text(
            yaml.safe_dump({**settings, "automation": {"sync": True}})
        )

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(statuses=list(statuses) or None)))

    def worker_of(self, run: dg.DagsterRun) -> int:
        """Return the process of a run, which the run's log names."""
        found = (
            re.search(r"pid: (\d+)", entry.user_message or entry.message)
            for entry in self.instance.all_logs(run.run_id)
        )
        return next(int(match.group(1)) for match in found if match)

    def was_given_up(self, run: dg.DagsterRun) -> bool:
        """Whether the daemon has decided not to try a run again, because a stage failed."""
        return any(
            "Not retrying run since it failed due to an asset" in entry.message
            for entry in self.instance.all_logs(run.run_id)
        )

    def is_done(self) -> bool:
        """Whether every category has all that is made of it, and nothing is under way."""
        idle = all(run.is_finished for run in self.runs())
        return idle and all(
            self.project.manifests.read("labeled_excel", category) is not None
            for category in CATEGORIES
        )

    def pictures(self, category: str) -> int:
        """Return how many listings of a category have their picture."""
        return int(
            self.project.manifests.read("raw_images", category)["image_sha256"].notna().sum()
        )


def impatient(home: Path) -> None:
    """Write the installation's dagster.yaml with shorter times to wait."""
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    settings["run_monitoring"] |= {
        "poll_interval_seconds": 2,
        "free_slots_after_run_end_seconds": 4,
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture
def installation(tmp_path, monkeypatch) -> Iterator[Installation]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    project = Project(PipelineHome.find().prepare())
    impatient(project.home.path)
    (tmp_path / "shop" / "images").mkdir(parents=True)
    with ExitStack() as stack:
        shop = stack.enter_context(open_shop(tmp_path / "shop" / "images", limit=1))
        drawn = write_catalogue(
            tmp_path / "shop",
            shop.url,
            products=2,
            sellers=3,
            listings_per_product=(2, 2),
            problems=(),
        )
        settings = {
            "download": {"allow_hosts": [shop.host]},
            "matches": {"text": False},
            "compute": {"workers": 1},
        }
        project.home.settings_file.write_text(yaml.safe_dump(settings))
        instance = stack.enter_context(open_instance(project.home))
        instance.event_log_storage.set_concurrency_slots("network", 1)
        for category in CATEGORIES:
            shutil.copy(drawn.workbook, project.home.path / f"{category}.xlsx")
            project.sources.record(project.home.path / f"{category}.xlsx")
            add_category(instance, category)
        yield Installation(project, instance, shop)


def test_a_killed_run_is_tried_again_and_gives_its_slot_back(installation):
    """The one slot of the pool `network` is held by the run that is killed: without it no other
    could end.
    """
    installation.sync_by_itself()
    with installation.daemon():
        assert installation.shop.is_waiting.wait(240)
        (holder,) = [
            run
            for run in installation.runs(dg.DagsterRunStatus.STARTED)
            if is_downloading(installation, run)
        ]
        os.kill(installation.worker_of(holder), signal.SIGKILL)
        wait_for(
            "the end of the killed run", lambda: installation.runs(dg.DagsterRunStatus.FAILURE)
        )
        installation.shop.gate.set()
        wait_for("both categories", installation.is_done)
    (killed,) = installation.runs(dg.DagsterRunStatus.FAILURE)
    assert killed.run_id == holder.run_id
    assert [run.parent_run_id for run in installation.runs() if run.parent_run_id] == [
        killed.run_id
    ]
    assert [installation.pictures(category) for category in CATEGORIES] == [LISTINGS, LISTINGS]


def is_downloading(installation: Installation, run: dg.DagsterRun) -> bool:
    starts = installation.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
    return any(entry.step_key == "raw_images" for entry in starts)


def test_runs_whose_code_server_was_killed_are_ended_and_tried_again(installation):
    installation.sync_by_itself()
    with installation.daemon("first.log") as first:
        assert installation.shop.is_waiting.wait(240)
        # One that is only starting would be given up after `start_timeout_seconds`.
        wait_for(
            "both runs",
            lambda: len(installation.runs(dg.DagsterRunStatus.STARTED)) == len(CATEGORIES),
        )
        for killed in [first.pid, *descendants(first.pid)]:
            os.kill(killed, signal.SIGKILL)
    orphaned = {run.run_id for run in installation.runs(dg.DagsterRunStatus.STARTED)}
    assert orphaned
    installation.shop.gate.set()
    with installation.daemon("second.log"):
        wait_for("both categories", installation.is_done)
    assert {run.run_id for run in installation.runs(dg.DagsterRunStatus.FAILURE)} == orphaned
    assert {run.parent_run_id for run in installation.runs() if run.parent_run_id} == orphaned


def descendants(process_id: int) -> list[int]:
    threads = Path(f"/proc/{process_id}/task").iterdir()
    children = [
        int(child) for thread in threads for child in (thread / "children").read_text().split()
    ]
    return [found for child in children for found in (child, *descendants(child))]


def test_a_stage_that_fails_is_not_tried_again(installation):
    installation.shop.gate.set()
    installation.sync_by_itself()
    settings = yaml.safe_load(installation.project.home.settings_file.read_text())
    absent = str(installation.path / "absent.onnx")
    settings["embeddings"] = {"encoder": "onnx", "model": absent}
    installation.project.home.settings_file.write_text(yaml.safe_dump(settings))
    with installation.daemon():
        wait_for(
            "the failures",
            lambda: len(installation.runs(dg.DagsterRunStatus.FAILURE)) == len(CATEGORIES),
        )
        wait_for(
            "the daemon's decision",
            lambda: all(map(installation.was_given_up, installation.runs())),
        )
    assert len(installation.runs()) == len(CATEGORIES)


def test_backfills_of_all_categories_from_the_command_line_and_from_the_ui(installation):
    installation.shop.gate.set()
    command = [
        str(TOOLS / "dagster"),
        "job",
        "backfill",
        "-j",
        "whole_category",
        "--all",
        "--noprompt",
        *MODULE,
    ]
    subprocess.run(
        command,
        env=installation.environment,
        check=True,
        capture_output=True,
        cwd=installation.path,
    )
    port = free_port()
    with installation.webserver(port), installation.daemon():
        wait_for("both categories", installation.is_done)
        web, written = (
            Web(port),
            [{"path": [name]} for name in ("labeled_excel", "category_report")],
        )
        wait_for("the webserver", lambda: web.ask("{ version }"))
        answer = web.ask(BACKFILL, keys=list(CATEGORIES), assets=written)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess"
        wait_for(
            "the backfill", lambda: backfill_state(web, answer["backfillId"]) == "COMPLETED_SUCCESS"
        )
    assert {run.status for run in installation.runs()} == {dg.DagsterRunStatus.SUCCESS}
    assert len(installation.runs()) == 2 * len(CATEGORIES)


def backfill_state(web: Web, backfill: str) -> str:
    query = (
        "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on "
        "PartitionBackfill { status } } }"
    )
    return web.ask(query, id=backfill)["partitionBackfillOrError"]["status"]
