"""Everything that Dagster is given, put together in one place."""

import dagster as dg

from clustering_pipeline.core.manifests import MANIFESTS
from clustering_pipeline.orchestration.assets import ASSETS
from clustering_pipeline.orchestration.automation import SCHEDULES, make_sensors
from clustering_pipeline.orchestration.jobs import JOBS
from clustering_pipeline.orchestration.resources import (
    ManifestIOManager,
    make_resources,
    project_resource,
)
from clustering_pipeline.orchestration.sync.synchronise import Pipeline
from clustering_pipeline.project import PipelineHome, Project


def build_definitions(project: Project | None = None) -> dg.Definitions:
    """Return the definitions that work in `project`, the Dagster home of this process when there is
    none.
    """
    place = project or Project(PipelineHome.find())
    return dg.Definitions(
        assets=ASSETS,
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=make_sensors(place),
        # A run is one process: the stages use the cores themselves, and most steps are shorter than
        # the start of a process.
        executor=dg.in_process_executor,
        resources={
            "project": project_resource(place),
            "manifests": ManifestIOManager(place, MANIFESTS),
            **make_resources(place),
        },
    )


def open_pipeline(project: Project) -> Pipeline:
    """Return the definitions that work in `project`, with the means to see what of them is
    stale.
    """
    return Pipeline.of(build_definitions(project), project)


defs = build_definitions()
