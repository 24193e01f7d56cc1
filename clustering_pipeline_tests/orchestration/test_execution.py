"""What a run leaves of the process that it was in."""

import signal
import subprocess
import sys

RUN_AND_STAY = """
import signal, sys, time
# As a shell starts what a script runs in the background, whatever this test itself was started by.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from pathlib import Path
from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.runtime.execution import materialise
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
