"""What a run leaves of the process that it was in, and runs that nobody works on any more."""

import json
import os
import signal
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.jobs import CATEGORIES
from clustering_pipeline.orchestration.runtime.instance import (
    COMMAND_LINE_TAG,
    add_category,
    open_instance,
)
from clustering_pipeline.orchestration.runtime.runs import lost_runs, materialise, working_alone
from clustering_pipeline.project import PipelineHome, Project

RUN_AND_STAY = """
import signal, sys, time
# As a shell starts what a script runs in the background, whatever this test itself was started by.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from pathlib import Path
from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.runtime.runs import materialise
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.project import PipelineHome, Project
home = PipelineHome(Path(sys.argv[1]))
with open_instance(home) as instance:
    add_category(instance, "serum")
    materialise(build_definitions(Project(home)), instance, ["settings/clusters"], "serum")
print("done", flush=True)
time.sleep(600)
"""


def test_a_process_that_ignores_ctrl_c_ends_on_sigterm_after_a_run(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", RUN_AND_STAY, str(tmp_path / "home")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "done\n"
            process.terminate()
            assert process.wait(60) == -signal.SIGTERM
        finally:
            process.kill()


GONE = json.dumps({"host": "localhost", "socket": "/nowhere/socket"})


@pytest.fixture
def home(tmp_path) -> PipelineHome:
    return PipelineHome(tmp_path / "home").prepare()


def test_a_category_that_is_taken_away_after_a_run_is_no_partition_any_more(home):
    with open_instance(home) as instance:
        add_category(instance, "serum")
        materialise(build_definitions(Project(home)), instance, ["settings/clusters"], "serum")
        assert instance.has_dynamic_partition(CATEGORIES.name, "serum")
        instance.delete_dynamic_partition(CATEGORIES.name, "serum")
        assert not instance.has_dynamic_partition(CATEGORIES.name, "serum")


@dg.job
def empty() -> None:
    """A job without a step."""


def test_a_run_of_a_command_is_lost_once_the_command_has_gone(home):
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            empty,
            status=dg.DagsterRunStatus.STARTED,
            tags={COMMAND_LINE_TAG: "1", "dagster/partition": "serum"},
        )
        assert [lost.run_id for lost in lost_runs(home, instance)] == [run.run_id]


def test_a_command_at_work_keeps_its_run(home):
    with dg.DagsterInstance.ephemeral() as instance, working_alone(home, instance, "serum"):
        instance.create_run_for_job(
            empty,
            status=dg.DagsterRunStatus.STARTED,
            tags={COMMAND_LINE_TAG: "1", "dagster/partition": "serum"},
        )
        assert list(lost_runs(home, instance)) == []


def test_a_run_whose_code_server_and_worker_are_gone_is_lost(home):
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            empty, status=dg.DagsterRunStatus.STARTED, tags={".dagster/grpc_info": GONE}
        )
        assert [lost.run_id for lost in lost_runs(home, instance)] == [run.run_id]


def test_a_worker_that_outlived_its_code_server_keeps_its_run(home):
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            empty, status=dg.DagsterRunStatus.STARTED, tags={".dagster/grpc_info": GONE}
        )
        instance.report_engine_event("Started", run, EngineEventData.in_process(os.getpid()))
        assert list(lost_runs(home, instance)) == []


def test_a_lost_run_is_ended_at_the_second_look(daemon):
    instance = daemon.instance
    run = instance.create_run_for_job(
        empty, status=dg.DagsterRunStatus.STARTED, tags={".dagster/grpc_info": GONE}
    )
    first = daemon.look("abandoned_runs")
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
    daemon.look("abandoned_runs", first.cursor)
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
