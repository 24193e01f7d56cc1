"""`ui`: Dagster's own pages on the same home."""

import os
import signal
import socket
import subprocess
import sys
from typing import Annotated

import typer

from clustering_pipeline.cli.place import find_workplace
from clustering_pipeline.cli.terminal import DebugOption, terminal_of
from clustering_pipeline.errors import InputError, StageError
from clustering_pipeline.workplace.home import HOME_VARIABLE

FIRST_PORT, PORTS_TRIED = 3000, 50


def ui(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port to listen on; the first free one from 3000 by default.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Dagster's pages ask for no password: keep it local.")
    ] = "127.0.0.1",
    debug: DebugOption = False,
) -> None:
    """Open the Dagster UI with its daemon on the same home: lineage, runs, schedules, sensors."""
    terminal, workplace = terminal_of(context), find_workplace()
    chosen = _checked_port(host, port) if port else _free_port(host)
    terminal.details("Dagster UI", [("address", f"http://{host}:{chosen}"), ("home", workplace.home.path)])
    command = [sys.executable, "-m", "dagster", "dev", "-m", "clustering_pipeline.definitions", "-h", host, "-p", str(chosen)]
    environment = {**os.environ, HOME_VARIABLE: str(workplace.home.path)}
    status = _serve(command, environment)
    if status not in (0, -signal.SIGINT, -signal.SIGTERM):
        raise StageError(f"`dagster dev` ended with status {status}. Its own messages above say why.")


def _serve(command: list[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal sent it to Dagster as well, which now closes its runs.
            continue


def _free_port(host: str) -> int:
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _is_free(host, port):
            return port
    raise InputError(f"No port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free on {host}. Choose one with --port.")


def _checked_port(host: str, port: int) -> int:
    if not _is_free(host, port):
        raise InputError(f"Port {port} of {host} cannot be used; another program may hold it. Choose another --port.")
    return port


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
