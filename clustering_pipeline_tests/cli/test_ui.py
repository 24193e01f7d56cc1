"""`ui` opens Dagster's own pages and those of the reports on the home, and Ctrl-C closes them."""

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


@pytest.mark.slow
def test_ui_serves_dagsters_pages_until_ctrl_c(home: Path, tmp_path: Path):
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
        # Ctrl-C goes to every process of the terminal.
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    assert f"http://127.0.0.1:{port}" in output
