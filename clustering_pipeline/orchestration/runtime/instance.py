"""The Dagster instance of a home: its database, the categories it knows, their runs, and the pools
that limit how many steps use one scarce thing at a time.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from clustering_pipeline.core.errors import PipelineError, StageError
from clustering_pipeline.orchestration.jobs import CATEGORIES
from clustering_pipeline.orchestration.runtime.dagster_internals import kept_connections
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.storage import FileTree, hold, layout

GPU, NETWORK, GEMINI = "gpu", "network", "gemini"
# One model on the device, a few categories downloading, and one caller of Gemini: what the instance
# gets when it is opened first.
LIMITS = {GPU: 1, NETWORK: 2, GEMINI: 1}


@contextmanager
def quick_commits() -> Iterator[None]:
    """Let commits of this process reach the disk in the background while the block runs.

    A database in write-ahead mode stays whole when the machine stops; at worst the last events are
    not in it.
    """
    # Kept out of the import of the definitions, which has to be fast.
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def prepare(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", prepare)
    try:
        yield
    finally:
        event.remove(Engine, "connect", prepare)


@contextmanager
def database_errors(home: PipelineHome) -> Iterator[None]:
    """Say in words what Dagster's databases raise while the block runs."""
    try:
        yield
    except PipelineError:
        # Of another database: it has been said which.
        raise
    # Which of SQLAlchemy's errors it is says less than what its driver said.
    except Exception as error:
        cause = _database_error(error)
        if cause is None:
            raise
        raise StageError(
            f"Dagster's record of runs in {home.path / HISTORY} cannot be used ({cause}). "
            f"{_remedy(str(cause), home)} What was computed is kept."
        ) from error


def _database_error(error: BaseException | None) -> Exception | None:
    """Return what a driver of databases said, wherever Dagster has wrapped it."""
    from sqlalchemy.exc import DBAPIError

    while error is not None:
        if isinstance(error, DBAPIError):
            return error.orig if isinstance(error.orig, Exception) else error
        if isinstance(error, sqlite3.Error):
            return error
        error = error.__cause__ or error.__context__
    return None


def _remedy(words: str, home: PipelineHome) -> str:
    if "full" in words:
        return "Free some space on its disk and run again."
    if "malformed" in words or "not a database" in words or "no such table" in words:
        return (
            f"The file is damaged. Move the folder {home.path / HISTORY} away and run again: what "
            "ran when is forgotten then, and what is not held is computed again."
        )
    if "readonly" in words or "unable to open" in words:
        return "See that this account may write to the folder and its files, and run again."
    return "See that the database can be reached and that no other program holds it; run again."


def _databases(home: PipelineHome) -> tuple[Path, ...]:
    """Where Dagster keeps its SQLite files, of which there are none with PostgreSQL."""
    history = home.path / HISTORY
    return history / "runs.db", history / "runs" / "index.db", home.path / "schedules/schedules.db"


def _remove_unfinished(path: Path) -> None:
    """Remove a database whose tables were never finished, the process that made them having been
    killed: Dagster takes the file for a whole one.
    """
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=30)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        is_whole = "alembic_version" in tables and database.execute(
            "SELECT count(*) FROM alembic_version"
        ).fetchone() > (0,)
    if not is_whole:
        for file in (path, *path.parent.glob(f"{path.name}-*")):
            file.unlink(missing_ok=True)


HISTORY = "history"
PARTITION_TAG = "dagster/partition"


COMMAND_LINE_TAG = "clustering_pipeline/command_line"


IN_FLIGHT = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@contextmanager
def open_instance(home: PipelineHome) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a home, which is created and filled when it is empty, with the limits of
    the pools.

    Raises StageError when Dagster's databases cannot be used, also while the instance is open.
    """
    home.prepare()
    # Whatever Dagster starts in this process looks for its home here.
    os.environ["DAGSTER_HOME"] = str(home.path)
    with database_errors(home), quick_commits(), kept_connections(), ExitStack() as stack:
        # Dagster makes its tables without a thought of another process that does so too.
        with hold(home.state / layout.OPENING_LOCK):
            for path in _databases(home):
                _remove_unfinished(path)
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(home.path)))
            _ = instance.run_storage, instance.schedule_storage
            set_missing_limits(instance)
        yield instance


def add_category(instance: dg.DagsterInstance, category: str) -> None:
    """Make `category` a partition of the instance."""
    if not instance.has_dynamic_partition(str(CATEGORIES.name), category):
        instance.add_dynamic_partitions(str(CATEGORIES.name), [category])


def remove_category(project: Project, category: str) -> None:
    """Remove the record, the uploads, the manifests and the outputs of a category, and its
    partition; raises StageError while somebody works on it.

    What was said of it stays in the log, its numbers stay taken, and its pictures stay until the
    storage is pruned.
    """
    home = project.home
    with home.working_on(category) as is_mine, home.using_storage():
        if not is_mine:
            raise StageError(
                f"Somebody works on the category {category}. Wait until that has ended; nothing "
                f"was removed."
            )
        with open_instance(home) as instance:
            if instance.has_dynamic_partition(str(CATEGORIES.name), category):
                instance.delete_dynamic_partition(str(CATEGORIES.name), category)
        project.sources.remove(category)
        project.retired.restore(category)
        project.manifests.forget(category)
        _remove_folder(project.outputs, category)
        shutil.rmtree(home.path / layout.UPLOADS / category, ignore_errors=True)


def _remove_folder(files: FileTree, folder: str) -> None:
    place = files.location(folder)
    if files.filesystem.exists(place):
        files.filesystem.rm(place, recursive=True)


def known_categories(instance: dg.DagsterInstance) -> list[str]:
    """Return every category that is a partition of the instance, retired ones included, in
    alphabetical order.
    """
    return sorted(instance.get_dynamic_partitions(str(CATEGORIES.name)))


def runs_in_flight(
    instance: dg.DagsterInstance, category: str | None = None
) -> list[dg.DagsterRun]:
    """Return the runs that are queued or under way, of one category or of all."""
    tags = {PARTITION_TAG: category} if category else None
    return list(instance.get_runs(dg.RunsFilter(statuses=list(IN_FLIGHT), tags=tags)))


def set_missing_limits(instance: dg.DagsterInstance) -> None:
    """Give the pools that have no limit yet theirs; one that somebody set stays."""
    pools = {limit.name for limit in instance.event_log_storage.get_pool_limits()}
    if missing := {pool: limit for pool, limit in LIMITS.items() if pool not in pools}:
        set_limits(instance, missing)


def set_limits(instance: dg.DagsterInstance, limits: Mapping[str, int]) -> dict[str, int]:
    """Give the pools of the instance their limits and return all that are set; doing it again
    changes nothing.
    """
    for pool, limit in limits.items():
        instance.event_log_storage.set_concurrency_slots(pool, limit)
    return {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
