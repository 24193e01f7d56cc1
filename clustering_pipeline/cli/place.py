"""The installation that a command works on: home, settings of this run, progress on the
terminal.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clustering_pipeline.cli.terminal import Terminal, TerminalProgress
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.progress import ProgressListener
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import RunOverrides

CORRECTION_ASSETS = ("corrections", "overruled_pictures")
# Asked for by nobody in a terminal; Dagster reads it when its first module is imported.
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


def find_project(overrides: RunOverrides | None = None) -> Project:
    """Return the project of `DAGSTER_HOME`, or of the checkout, created and filled when missing;
    raises InputError.
    """
    return Project(PipelineHome.find().prepare(), overrides or RunOverrides())


def choose_category(known: Sequence[str], category: str | None) -> list[str]:
    """Return the slugs of the categories that are meant: the one that was named, else all; raises
    InputError when there is none.
    """
    if not known:
        raise InputError(
            "There is no category yet. Run `clustering-pipeline run CATALOGUE` or "
            "`clustering-pipeline demo` first."
        )
    if category is None:
        return list(known)
    from clustering_pipeline.core.text import category_slug

    slug = category_slug(category)
    if slug not in known:
        raise InputError(f"There is no category {category!r} here. Known are: {', '.join(known)}.")
    return [slug]


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
