"""The installation that a command works on: home, settings of this run, progress on the
terminal.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from clustering_pipeline.cli.terminal import Terminal, TerminalProgress, as_typed
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.progress import ProgressListener
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import RunOverrides

PORTS_TRIED = 50
SECONDS_TO_ANSWER = 0.5
CORRECTION_ASSETS = ("corrections", "overruled_pictures")
# Asked for by nobody in a terminal; Dagster reads it when its first module is imported.
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def find_project(overrides: RunOverrides | None = None) -> Project:
    """Return the project of `DAGSTER_HOME`, or of the checkout, created and filled when missing;
    raises InputError.
    """
    return Project(PipelineHome.find().prepare(), overrides or RunOverrides())


def choose_category(categories: Sequence[str], category: str | None) -> list[str]:
    """Return the slugs of the categories that are meant: the one that was named, else all; raises
    InputError when there is none.
    """
    if not categories:
        raise InputError(
            f"There is no category yet. Run `{as_typed('run CATALOGUE')}` or "
            f"`{as_typed('demo')}` first."
        )
    if category is None:
        return list(categories)
    from clustering_pipeline.core.text import category_slug

    slug = category_slug(category)
    if slug not in categories:
        raise InputError(
            f"There is no category {category!r} here. Known are: {', '.join(categories)}."
        )
    return [slug]


def only_category(categories: Sequence[str], category: str | None) -> str:
    """Return the slug of the category that is meant: the one that was named, else the only one;
    raises InputError where there are several.
    """
    slugs = choose_category(categories, category)
    if len(slugs) > 1:
        raise InputError(f"There are several categories: {', '.join(slugs)}. Name one: --category.")
    return slugs[0]


def written_files(project: Project, category: str) -> list[tuple[str, str]]:
    """Return where the labelled workbook and the report of a category are, those that there are."""
    places = {
        name: project.manifests.read_facts(asset, category).get(name)
        for name, asset in (("workbook", "labeled_excel"), ("report", "category_report"))
    }
    return [(name, str(place)) for name, place in places.items() if place is not None]


@contextmanager
def working(project: Project, terminal: Terminal) -> Iterator[Project]:
    """Give the project whose stages report to this terminal while the block runs."""
    with TerminalProgress(terminal.errors) as progress:
        yield Project(project.home, project.overrides, ProgressListener(progress))


def read_overrides(
    assignments: Sequence[str], file: Path | None, hosts: Sequence[str] = (), category: str = ""
) -> RunOverrides:
    """Return what one run overrides; `hosts` come on top of those that `category` allows already;
    raises InputError.
    """
    overrides = RunOverrides.read(assignments, file)
    if not hosts:
        return overrides
    allowed = (
        Project(PipelineHome.find(), overrides).category_settings(category).download.allow_hosts
    )
    everyone = [*allowed, *(host for host in hosts if host not in allowed)]
    return RunOverrides.read([*assignments, f"download.allow_hosts={everyone!r}"], file)


def waiting_sentence(sources: Sequence[str]) -> str:
    """Return what a person is told of sources that changed while a run read them no more."""
    names = ["newer corrections" if name in CORRECTION_ASSETS else name for name in sources]
    waiting = " and ".join(dict.fromkeys(names))
    return f"Changed while this ran, and waiting for the next run: {waiting}."


def dagster_address(project: Project) -> str | None:
    """Return where Dagster's own pages are, None where nothing of Dagster answers."""
    address = project.settings.installation().automation.ui_url.rstrip("/")
    try:
        with urlopen(f"{address}/server_info", timeout=SECONDS_TO_ANSWER) as answer:
            info = json.loads(answer.read(10_000))
    except (OSError, ValueError, HTTPException):
        return None
    return address if isinstance(info, dict) and "dagster_webserver_version" in info else None


def free_port(host: str, first: int) -> int:
    """Return the first port from `first` on that nobody listens on; raises InputError."""
    tried = range(first, first + PORTS_TRIED)
    free = next((port for port in tried if is_free(host, port)), None)
    if free is None:
        raise InputError(
            f"No port from {tried[0]} to {tried[-1]} is free on {host}. Choose one with --port."
        )
    return free


def checked_port(host: str, port: int) -> int:
    """Return the port; raises InputError where it cannot be listened on."""
    if not is_free(host, port):
        raise InputError(
            f"Port {port} of {host} cannot be used; another program may hold it. Choose another "
            f"--port."
        )
    return port


def is_free(host: str, port: int) -> bool:
    """Whether one can listen on a port."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True
