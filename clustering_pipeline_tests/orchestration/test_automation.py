"""What is started by itself: when each category is due, and what the daemon is told to run."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import dagster as dg
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.automation import (
    LATEST,
    REFRESH_TAG,
    TICK_MINUTES,
    failure_message_of,
    latest_moment,
    next_moment,
    post,
    stagger,
)
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.orchestration.runtime.runs import working_alone
from clustering_pipeline.project import PipelineHome
from clustering_pipeline.settings import RefreshSettings

# Monday 02:00 in Ho Chi Minh City.
MONDAY = datetime(2025, 3, 2, 19, 0, tzinfo=UTC)
AT_ONCE = RefreshSettings(stagger_minutes=0)


def test_a_category_is_due_from_its_moment_until_it_is_too_late():
    assert latest_moment("serum", AT_ONCE, MONDAY - timedelta(minutes=1)) is None
    assert latest_moment("serum", AT_ONCE, MONDAY) == MONDAY
    assert latest_moment("serum", AT_ONCE, MONDAY + timedelta(hours=3)) == MONDAY
    assert latest_moment("serum", AT_ONCE, MONDAY + LATEST) is None


def test_fifty_categories_do_not_start_together():
    settings = RefreshSettings(stagger_minutes=360)
    moments = [stagger(f"category-{number}", 360) for number in range(50)]
    assert len(set(moments)) > 20
    assert all(0 <= moment <= 360 and moment % TICK_MINUTES == 0 for moment in moments)
    assert latest_moment(
        "category-1", settings, MONDAY + timedelta(minutes=360)
    ) == MONDAY + timedelta(minutes=moments[1])


def test_a_category_keeps_its_moment():
    assert stagger("serum", 360) == stagger("serum", 360)


def test_a_disabled_refresh_is_never_due():
    assert latest_moment("serum", RefreshSettings(enabled=False), MONDAY) is None


def test_the_next_moment_is_when_the_category_is_due_and_not_before():
    settings = RefreshSettings(stagger_minutes=360)
    moment = next_moment("serum", settings, MONDAY)
    assert moment == MONDAY + timedelta(minutes=stagger("serum", 360))
    assert latest_moment("serum", settings, moment) == moment
    assert next_moment("serum", settings, moment) == moment + timedelta(days=7)
    assert next_moment("serum", RefreshSettings(enabled=False), MONDAY) is None


def test_sync_requests_the_same_work_once(daemon):
    everything = open_pipeline(daemon.project).lineage.order
    first = daemon.look("sync")
    [request] = first.run_requests
    assert request.partition_key == "serum"
    assert {key.to_user_string() for key in request.asset_selection} == set(everything)
    again = daemon.look("sync", first.cursor)
    assert not again.run_requests and again.cursor == first.cursor


def test_a_retired_category_is_left_alone(daemon):
    daemon.project.retired.retire("serum")
    assert not daemon.look("sync").run_requests


def test_broken_settings_of_one_category_leave_the_others_running(daemon):
    add_category(daemon.instance, "toner")
    daemon.project.sources.record(daemon.project.sources.load("serum").path, "Toner")
    daemon.project.home.settings_file.write_text(
        "categories:\n  serum:\n    clusters:\n      epss: 1\n"
    )
    assert [request.partition_key for request in daemon.look("sync").run_requests] == ["toner"]


def test_a_dropped_workbook_adds_its_category_and_asks_for_everything(daemon):
    shutil.copy(
        daemon.project.sources.load("serum").path,
        daemon.project.home.catalogues / "Nước hoa hồng.xlsx",
    )
    first = daemon.look("catalogue_folder")
    assert not first.run_requests
    second = daemon.look("catalogue_folder", first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["nuoc-hoa-hong"]
    assert second.dynamic_partitions_requests[0].partition_keys == ["nuoc-hoa-hong"]
    assert not daemon.look("catalogue_folder", second.cursor).run_requests


def test_a_missing_folder_is_a_reason_and_no_error(daemon):
    daemon.project.home.catalogues.rmdir()
    assert "does not exist" in daemon.look("catalogue_folder").skip_message


def test_the_weekly_refresh_is_asked_for_at_its_moment(daemon):
    daemon.project.home.settings_file.write_text("refresh:\n  stagger_minutes: 0\n")
    with open_instance(daemon.project.home) as daemon.instance:
        add_category(daemon.instance, "serum")
        (request,) = daemon.tick(datetime(2025, 3, 2, 19, 0, tzinfo=UTC))
        assert request.tags[REFRESH_TAG] == request.run_key == "serum@2025-03-02T19:00Z"
        assert isinstance(daemon.tick(datetime(2025, 3, 5, 19, 0, tzinfo=UTC))[0], dg.SkipReason)


def test_two_commands_do_not_work_on_one_category_at_once(tmp_path):
    home = PipelineHome(tmp_path / "home").prepare()
    with open_instance(home) as instance, working_alone(home, instance, "serum"):
        with working_alone(home, instance, "toner"):
            pass
        with (
            pytest.raises(StageError, match="Another command"),
            working_alone(home, instance, "serum"),
        ):
            pass


def test_a_failure_is_posted_in_slacks_format():
    received = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.handle_request, daemon=True).start()
    run = dg.DagsterRun(job_name="whole_category", tags={"dagster/partition": "serum"})
    post(
        f"http://127.0.0.1:{server.server_port}/secret",
        failure_message_of(run, [("crops", "no disk")], "http://ui/"),
    )
    server.server_close()
    assert received[0]["text"].startswith("Category serum failed in <http://ui/runs/")
    assert "`crops`: no disk" in received[0]["text"]


def test_a_webhook_that_cannot_be_reached_does_not_give_its_secret_away():
    with pytest.raises(StageError) as caught:
        post("http://127.0.0.1:1/secret", {"text": "x"})
    assert "secret" not in str(caught.value)
