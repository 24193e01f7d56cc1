"""Brings a category up to date: whatever is stale or missing, in order, and only that; in this
process, or as a request that the daemon can queue.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import dagster as dg

from clustering_pipeline.core.errors import PipelineError, StageError
from clustering_pipeline.orchestration.jobs import CATEGORIES, CATEGORY_JOB
from clustering_pipeline.orchestration.runtime.instance import add_category, runs_in_flight
from clustering_pipeline.orchestration.runtime.runs import (
    materialise,
    waiting_in_turn,
    working_alone,
)
from clustering_pipeline.orchestration.sync.lineage import (
    SOURCE_CHANGED,
    AssetState,
    Lineage,
    Materialised,
    SourceVersion,
    due_work,
    judge,
    plan,
    read_materialised,
    refresh_record,
    source_versions,
)
from clustering_pipeline.project import Project
from clustering_pipeline.project.upkeep import mend, set_aside_false_manifests

# A run with this tag is followed by others until its category is fresh.
UNTIL_FRESH_TAG = "clustering_pipeline/until_fresh"
# A stage that failed for want of something that was lost is tried again so many times.
MOST_REPAIRS = 3
SourceReader = Callable[[str], Mapping[str, SourceVersion]]


@dataclass(frozen=True)
class SyncReport:
    """What a synchronisation did: the assets it materialised in order, and the ids of its runs.

    `waiting`: the sources that changed while it ran, after it had read them.
    """

    category: str
    materialised: tuple[str, ...]
    runs: tuple[str, ...]
    seconds: float
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """A graph of assets with the means to see whether they are up to date."""

    definitions: dg.Definitions
    project: Project
    lineage: Lineage
    read_sources: SourceReader

    @classmethod
    def of(cls, definitions: dg.Definitions, project: Project) -> "Pipeline":
        """Return the pipeline of `definitions` that works in `project`."""
        lineage = Lineage.of(definitions.resolve_asset_graph())
        return cls(definitions, project, lineage, partial(source_versions, project))

    def materialised(
        self, instance: dg.DagsterInstance, categories: Sequence[str]
    ) -> dict[str, dict[str, Materialised]]:
        """Return the latest materialisations by category and asset."""
        return read_materialised(instance, self.lineage, categories, self.project.manifests)

    def states(
        self,
        instance: dg.DagsterInstance,
        category: str,
        demanded: Mapping[str, str] | None = None,
        settled: Collection[str] = (),
    ) -> dict[str, AssetState]:
        """Return the state of every asset of a category as it is now.

        `demanded` should run in any case, with the reason. `settled`: assets that count as made
        from their sources, whatever these have become meanwhile.
        """
        materialised = self.materialised(instance, [category])[category]
        sources = self.read_sources(category)
        in_question = {name: sources[name] for name in sources if name not in settled}
        return judge(self.lineage, materialised, in_question, demanded)


def bring_up_to_date(
    pipeline: Pipeline,
    instance: dg.DagsterInstance,
    category: str,
    *,
    demanded: Mapping[str, str] | None = None,
    force: bool = False,
) -> SyncReport:
    """Materialise what is stale, missing or demanded until nothing is left, everything when
    `force`.

    A source is read once: what people say or set while this runs waits for the next time. Raises
    InputError or StageError.
    """
    started, materialised, runs = time.monotonic(), list[str](), list[str]()
    lineage = pipeline.lineage
    states = pipeline.states(instance, category, demanded)
    batch = list(lineage.order) if force else plan(lineage, states)
    unread = {name for name, state in states.items() if state.certain}
    repairs = 0
    with waiting_in_turn(pipeline.project.home):
        while batch:
            if again := sorted(set(batch) & set(materialised)):
                raise StageError(
                    f"{', '.join(again)} of the category {category} changed again right after "
                    "being materialised. Something else works on the category meanwhile; run once "
                    "more when it has ended."
                )
            latest = pipeline.materialised(instance, [category])[category]
            pipeline.project.listener.planned(batch)
            try:
                runs.append(materialise(pipeline.definitions, instance, batch, category))
                materialised += batch
            except StageError:
                repairs += 1
                if repairs > MOST_REPAIRS or not _has_mended(pipeline, category, latest):
                    raise
                materialised = _without_gone(pipeline, category, materialised)
            settled = set(lineage.order) - (unread - set(materialised))
            batch = plan(lineage, pipeline.states(instance, category, settled=settled))
    newer = pipeline.states(instance, category) if materialised else {}
    waiting = [name for name, state in newer.items() if state.why == SOURCE_CHANGED]
    return SyncReport(
        category,
        tuple(materialised),
        tuple(runs),
        time.monotonic() - started,
        tuple(waiting),
    )


def _has_mended(pipeline: Pipeline, category: str, assets: Collection[str]) -> bool:
    """Whether a stage may have failed for want of something that was lost, which is made again
    now.
    """
    has_mended = False
    # What the stage said is worth more than that this could not be seen.
    with suppress(PipelineError):
        has_mended = mend(pipeline.project, category)
    return has_mended or len(_without_gone(pipeline, category, assets)) < len(assets)


def _without_gone(pipeline: Pipeline, category: str, assets: Iterable[str]) -> list[str]:
    manifests = pipeline.project.manifests
    return [asset for asset in assets if not manifests.is_gone(asset, category)]


def _check_manifests(pipeline: Pipeline, instance: dg.DagsterInstance, category: str) -> None:
    """Set aside the manifests whose bytes are not those of the version that is recorded."""
    materialised = pipeline.materialised(instance, [category])[category]
    # The version of settings is their fingerprint instead.
    versions = {
        name: made.version
        for name, made in materialised.items()
        if not name.startswith("settings/")
    }
    set_aside_false_manifests(pipeline.project, category, versions)


def synchronise(
    category: str,
    *,
    pipeline: Pipeline,
    instance: dg.DagsterInstance,
    force: bool = False,
    record: Callable[[], object] | None = None,
) -> SyncReport:
    """Bring the assets of `category` up to date with its workbook, its settings and its
    corrections.

    `record` writes the category's record once nobody else works on it; without it the workbook that
    is recorded is looked at again.
    Pictures that failed for a passing reason, or that the refresh policy wants again, are
    asked for again. Raises InputError for what the user can put right, StageError when a stage
    fails or the category is busy.
    """
    project = pipeline.project
    with working_alone(project.home, instance, category):
        if record is None:
            refresh_record(project, category)
        else:
            record()
        add_category(instance, category)
        _check_manifests(pipeline, instance, category)
        return bring_up_to_date(
            pipeline, instance, category, demanded=due_work(project, category), force=force
        )


def synchronise_all(
    categories: Sequence[str], *, pipeline: Pipeline, instance: dg.DagsterInstance
) -> tuple[list[SyncReport], list[PipelineError]]:
    """Bring categories up to date one after the other and return what was done and what went wrong.

    All are looked at together first, so that those with nothing to do cost next to nothing. One
    that has a run under way, or fails, leaves the others alone.
    """
    materialised = pipeline.materialised(instance, categories)
    reports, errors = [], []
    for category in categories:
        try:
            if _has_nothing_to_do(pipeline, category, materialised[category]):
                reports.append(SyncReport(category, (), (), 0.0))
            else:
                reports.append(synchronise(category, pipeline=pipeline, instance=instance))
        except PipelineError as error:
            errors.append(error)
    return reports, errors


def _has_nothing_to_do(
    pipeline: Pipeline, category: str, materialised: Mapping[str, Materialised]
) -> bool:
    project = pipeline.project
    refresh_record(project, category)
    states = judge(pipeline.lineage, materialised, pipeline.read_sources(category))
    return not plan(pipeline.lineage, states) and not due_work(project, category)


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
    materialised = read_materialised(instance, lineage, [category], project.manifests)[category]
    sources = source_versions(project, category)
    states = judge(lineage, materialised, sources, demanded)
    batch = plan(lineage, states)
    if not batch:
        return None
    reasons = [
        (name, states[name].why, sources[name].version if name in sources else "") for name in batch
    ]
    before = [
        (parent, materialised[parent].version)
        for name in batch
        for parent in lineage.parents[name]
        if parent in materialised
    ]
    attempts = [materialised[name].time for name in batch if name in materialised]
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
