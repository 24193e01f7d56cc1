"""`ui` opens Dagster's own pages and those of the reports on the home, under names of this machine,
until Ctrl-C or a service manager closes them.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, process: subprocess.Popen[str], seconds: float = 200) -> bool:
    """Ask until the page is there, the process has ended or the time is up."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=10) as page:
                return bool(page.status == 200)
        except (urllib.error.URLError, OSError):
            pause.wait(0.5)
    return False


def refuses(url: str, host: str) -> bool:
    """Whether a page answers with 400 when it is asked for under the name `host`."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Host": host}), timeout=60
        ):
            return False
    except urllib.error.HTTPError as error:
        return error.code == 400


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_ui_serves_dagsters_pages_until_it_is_ended(home: Path, tmp_path: Path, stop):
    port, pages = free_port(), free_port()
    home.mkdir()
    (home / "settings.yaml").write_text(f"automation:\n  pages_url: http://127.0.0.1:{pages}\n")
    command = [
        sys.executable,
        "-c",
        "from clustering_pipeline.cli import main; main()",
        "ui",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        assert answers(f"http://127.0.0.1:{port}/server_info", process)
        # Where the links of the UI go.
        assert answers(f"http://127.0.0.1:{pages}/", process)
        assert refuses(f"http://127.0.0.1:{port}/graphql", "evil.example")
        assert not refuses(f"http://127.0.0.1:{port}/server_info", f"localhost:{port}")
        # Ctrl-C goes to every process of the terminal, what a service manager sends to the first.
        os.killpg(process.pid, stop) if stop is signal.SIGINT else process.send_signal(stop)
        output, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    assert f"http://127.0.0.1:{port}" in output
