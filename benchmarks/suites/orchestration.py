"""40 categories of every asset: how long a full status and a synchronisation that finds nothing to
do take.

The materialisations are written straight into the instance, with the versions that real runs would
leave, because 40 real first runs would measure the stages.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from benchmarks.figures import Figure, Options
from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.orchestration.sync.lineage import SOURCE_VERSION, Status
from clustering_pipeline.orchestration.sync.status import category_statuses
from clustering_pipeline.orchestration.sync.synchronise import Pipeline, synchronise_all
from clustering_pipeline.project import PipelineHome, Project


def run(options: Options) -> list[Figure]:
    """Fill a home of its own with categories that are fresh, then look at all of them five
    times.
    """
    count = 5 if options.quick else 40
    project = Project(PipelineHome(options.scratch / "home").prepare())
    os.environ["DAGSTER_HOME"] = str(project.home.path)
    pipeline, names = open_pipeline(project), [f"category-{number}" for number in range(count)]
    with open_instance(project.home) as instance:
        for name in names:
            _make_fresh(pipeline, project, instance, name, options.scratch)
        fresh = {
            report.status
            for known in category_statuses(project, instance, open_pipeline(project).lineage)
            for report in known.assets.values()
        }
        if fresh != {Status.FRESH}:
            raise RuntimeError(f"The categories were meant to be fresh and are {fresh}.")
        status = _timed(
            lambda: category_statuses(project, instance, open_pipeline(project).lineage)
        )
        sync = _timed(
            lambda: synchronise_all(names, pipeline=open_pipeline(project), instance=instance)
        )
    assets = len(pipeline.lineage.order)
    return [
        Figure(
            f"status of {count} categories × {assets} assets",
            sorted(status)[2],
            "s",
            3.0,
            "at most",
            status,
        ),
        Figure(f"sync of {count} fresh categories", sorted(sync)[2], "s", 10.0, "at most", sync),
    ]


def _timed(work: Callable[[], object]) -> tuple[float, ...]:
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return tuple(seconds)


def _make_fresh(
    pipeline: Pipeline, project: Project, instance: dg.DagsterInstance, name: str, scratch: Path
) -> None:
    workbook = scratch / f"{name}.xlsx"
    workbook.write_bytes(name.encode())
    project.sources.record(workbook)
    add_category(instance, name)
    sources, versions = pipeline.read_sources(name), dict[str, str]()
    for asset in pipeline.lineage.order:
        source = sources.get(asset)
        versions[asset] = (source.data_version if source else None) or _digest(name + asset)
        tags = {
            "dagster/data_version": versions[asset],
            "dagster/code_version": str(pipeline.lineage.code_versions[asset]),
        }
        tags |= {
            f"dagster/input_data_version/{parent}": _digest(versions[parent])
            for parent in pipeline.lineage.parents[asset]
        }
        metadata = {SOURCE_VERSION: source.version} if source else {}
        key = dg.AssetKey.from_user_string(asset)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=name, tags=tags, metadata=metadata)
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
