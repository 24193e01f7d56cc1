"""Processes of this machine that tests start: any command, and a PostgreSQL server of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POSTGRES = next(
    (path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None
)
PATIENCE_SECONDS = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """Return what `look` returns once that is true; a refused connection counts as not yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {PATIENCE_SECONDS} s")


@contextmanager
def process(
    arguments: list[str], environment: dict[str, str], log: Path, ended_by: int = signal.SIGTERM
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        running = subprocess.Popen(
            arguments, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent
        )
    try:
        yield running
    finally:
        running.send_signal(ended_by)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Start a PostgreSQL server of its own and give the environment that docker/dagster.yaml
    reads; one that was there before is started again, on its port.
    """
    assert POSTGRES is not None
    account: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    if not folder.exists():
        _make_cluster(folder, account)
    port, data = int((folder / "port").read_text()), folder / "data"
    arguments = ["-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    environment = {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD": "secret",
        "DAGSTER_POSTGRES_DB": "postgres",
        "DAGSTER_POSTGRES_PORT": str(port),
    }
    server = [*account, str(POSTGRES / "postgres"), *arguments]
    log = folder.parent / "postgres.log"
    # Without waiting for its clients to leave.
    with process(server, dict(os.environ), log, signal.SIGINT):
        wait_for("PostgreSQL", lambda: socket.create_connection(("127.0.0.1", port), 1))
        yield environment


def _make_cluster(folder: Path, account: list[str]) -> None:
    assert POSTGRES is not None
    folder.mkdir()
    if account:
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    (folder / "port").write_text(str(free_port()))
    options = ["-U", "dagster", "-A", "scram-sha-256", f"--pwfile={secret}"]
    subprocess.run(
        [*account, str(POSTGRES / "initdb"), "-D", str(folder / "data"), *options],
        check=True,
        capture_output=True,
    )


def empty_database(server: dict[str, str], name: str) -> str:
    """Make a database of a server anew and return its address, with the password in it."""
    import psycopg2

    account = {
        "host": server["DAGSTER_POSTGRES_HOST"],
        "port": server["DAGSTER_POSTGRES_PORT"],
        "user": server["DAGSTER_POSTGRES_USER"],
        "password": server["DAGSTER_POSTGRES_PASSWORD"],
    }
    connection = psycopg2.connect(**account, dbname="postgres")
    connection.autocommit = True
    connection.cursor().execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    return "postgresql://{user}:{password}@{host}:{port}/".format(**account) + name


class Web:
    """The GraphQL of a webserver."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, newest first, with the assets that each materialised."""
        found = self.ask(
            "{ runsOrError { ... on Runs { results { status assets { key { path } } } } } }"
        )
        results: list[dict[str, Any]] = found["runsOrError"]["results"]
        return results

    def finished(self, count: int) -> list[dict[str, Any]] | None:
        """Return the runs once there are at least `count` and none is under way."""
        runs = self.runs()
        assert not [run for run in runs if run["status"] == "FAILURE"]
        return (
            runs if len(runs) >= count and all(run["status"] == "SUCCESS" for run in runs) else None
        )
