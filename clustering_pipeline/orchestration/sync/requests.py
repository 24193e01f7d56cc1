"""What a category should run next, as a request that the daemon can queue."""

import hashlib
from collections.abc import Mapping

import dagster as dg

from clustering_pipeline.orchestration.jobs import CATEGORIES, CATEGORY_JOB
from clustering_pipeline.orchestration.runtime.instance import runs_in_flight
from clustering_pipeline.orchestration.sync.lineage import Lineage, judge, plan, read_materialised
from clustering_pipeline.orchestration.sync.sources import source_versions
from clustering_pipeline.project import Project

# A run with this tag is followed by others until its category is fresh.
UNTIL_FRESH_TAG = "clustering_pipeline/until_fresh"


def next_request(
    project: Project,
    instance: dg.DagsterInstance,
    lineage: Lineage,
    category: str,
    *,
    demanded: Mapping[str, str] | None = None,
) -> dg.RunRequest | None:
    """Return the next run of a category, None when it is fresh; raises InputError when its sources
    cannot be used.

    The run key names what would run and from what, so that the same work is requested once: a run
    that failed is not repeated until something changed.
    """
    held = read_materialised(instance, lineage, [category])[category]
    sources = source_versions(project, category)
    states = judge(lineage, held, sources, demanded)
    batch = plan(lineage, states)
    if not batch:
        return None
    reasons = [
        (name, states[name].why, sources[name].version if name in sources else "") for name in batch
    ]
    before = [
        (parent, held[parent].version)
        for name in batch
        for parent in lineage.parents[name]
        if parent in held
    ]
    attempts = [held[name].time for name in batch if name in held]
    digest = hashlib.sha256(
        repr((reasons, before, attempts, sorted((demanded or {}).items()))).encode()
    ).hexdigest()
    return dg.RunRequest(
        run_key=f"{category}:{digest[:20]}",
        job_name=CATEGORY_JOB,
        asset_selection=[dg.AssetKey.from_user_string(name) for name in batch],
        partition_key=category,
        tags={UNTIL_FRESH_TAG: "true"},
    )


def is_busy(instance: dg.DagsterInstance, category: str) -> bool:
    """Whether a run of the category is queued or under way."""
    return bool(runs_in_flight(instance, category))


def active_categories(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Return the categories that are kept up to date: partitions with a record that were not
    retired.
    """
    recorded = {source.category for source in project.sources.all()}
    partitions = set(instance.get_dynamic_partitions(str(CATEGORIES.name)))
    return sorted((recorded & partitions) - project.retired.all())
