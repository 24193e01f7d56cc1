"""A run of Dagster has its category alone among the machines that share a database."""

import dagster as dg
import pytest

from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.runtime.instance import add_category
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres
from clustering_pipeline_tests.project.test_sharing import another_machine, home_on

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]
ASSET = dg.AssetKey(["settings", "clusters"])


def test_a_run_waits_for_another_machine_as_long_as_it_may(tmp_path):
    with postgres(tmp_path / "server") as server, dg.DagsterInstance.ephemeral() as instance:
        address = empty_database(server, "turns")
        one, two = (
            home_on(tmp_path / name, tmp_path / "root", address, "  wait_seconds: 1\n")
            for name in ("one", "two")
        )
        add_category(instance, "serum")
        job = build_definitions(two).resolve_implicit_global_asset_job_def()

        def run() -> dg.ExecuteInProcessResult:
            return job.execute_in_process(
                instance=instance, asset_selection=[ASSET], partition_key="serum"
            )

        with another_machine(one, "working_on('serum')") as process:
            with pytest.raises(dg.DagsterError) as refused:
                run()
            assert f"The category serum is worked on by process {process} " in str(
                refused.value.__cause__
            )
        assert run().success
        # The run is over, so that the category is free again for everybody.
        assert two.home.worker_on("serum") == ""
        with one.home.pruning() as is_alone:
            assert is_alone
