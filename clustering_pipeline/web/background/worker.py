"""The process of one background run: waits for its turn, brings the category up to date through
Dagster, and writes what came of it.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clustering_pipeline.core.errors import PipelineError, disk_errors
from clustering_pipeline.core.progress import ProgressListener
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.storage import hold
from clustering_pipeline.web.background.reports import (
    CategoryState,
    FileProgress,
    Outcome,
    compare,
    replace_file,
)
from clustering_pipeline.web.background.runs import (
    CANCEL,
    OUTCOME,
    PROCESS,
    PROGRESS,
    WAITING,
    BackgroundRuns,
    RunState,
)

# Runs that compute at the same time; more would only take each other's memory.
MOST_AT_ONCE = 2
SECONDS_BETWEEN_LOOKS = 0.5


def main(folder: Path, lock: int) -> None:
    """Do the run of a folder whose lock this process holds; ends with what came of it written."""
    os.set_inheritable(lock, False)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    state: RunState = "failed"
    message, outcome = "", Outcome()
    try:
        (folder / PROCESS).write_text(str(os.getpid()))
        if (folder / CANCEL).exists():
            raise KeyboardInterrupt
        with disk_errors(), _turn(folder):
            outcome = bring_up_to_date(folder)
        state = "done"
    except KeyboardInterrupt:
        state = "cancelled"
    except PipelineError as error:
        message = str(error)
    except Exception as error:
        logging.exception("The run failed.")
        message = (
            f"Something that was not foreseen went wrong: {type(error).__name__}: {error}. What "
            f"was done is kept; state/background/{folder.name}/log.txt of the home has the details."
        )
    # From here on a late wish to end it changes nothing.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    values = {"state": state, "message": message, "outcome": outcome.as_json(), "time": time.time()}
    replace_file(folder / OUTCOME, values)


def bring_up_to_date(folder: Path) -> Outcome:
    """Materialise what is stale of the category, and return what it changed."""
    from clustering_pipeline.definitions import open_pipeline
    from clustering_pipeline.orchestration import open_instance, synchronise

    home = PipelineHome.find()
    category = BackgroundRuns(home).get(folder.name).asked.category
    progress = FileProgress(folder / PROGRESS)
    project = Project(home, listener=ProgressListener(progress, progress))
    before = CategoryState.read(project.manifests, category)
    with open_instance(home) as instance:
        report = synchronise(category, pipeline=open_pipeline(project), instance=instance)
    changes, moved = compare(before, CategoryState.read(project.manifests, category))
    return Outcome(changes, moved, report.materialised, report.runs, before is None, report.waiting)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until fewer than the most run, and be one of them while the block runs."""
    places = [folder.parent / f"turn-{number}.lock" for number in range(MOST_AT_ONCE)]
    waiting = folder / WAITING
    while True:
        for place in places:
            with hold(place, seconds=0) as is_mine:
                if is_mine:
                    waiting.unlink(missing_ok=True)
                    yield
                    return
        waiting.touch()
        time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
