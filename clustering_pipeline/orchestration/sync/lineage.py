"""What is fresh, stale or missing, for one category or for all of them, and what its sources look
like now, to compare with what they looked like when they were materialised.

Dagster's own resolver asks the database once per edge and partition, and its UI leaves partitioned
assets out. The same judgement is made here from the tags of the latest materialisations, read in
two queries per asset. Everything that is not Dagster's public interface is in `read_materialised`;
the tests compare the outcome with Dagster's resolver.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
import pandas as pd

from clustering_pipeline.core.corrections import Keep
from clustering_pipeline.core.manifests import CORRECTIONS, content_version
from clustering_pipeline.orchestration.runtime.dagster_internals import (
    BaseAssetGraph,
    BaseAssetNode,
)
from clustering_pipeline.project import Project
from clustering_pipeline.settings import STAGES, StageSettings
from clustering_pipeline.storage import ManifestStore, layout, open_tables

if TYPE_CHECKING:
    from clustering_pipeline.stages.catalogue import CatalogueSource

SOURCE_VERSION = "clustering_pipeline/source_version"
SOURCE_CHANGED = "its source changed"
DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"
INPUT_VERSION_TAG = "dagster/input_data_version/"


class Status(StrEnum):
    """How an asset of a category stands."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    FAILED = "failed"


AssetNode = TypeVar("AssetNode", bound=BaseAssetNode)


@dataclass(frozen=True)
class Lineage:
    """The partitioned assets by name (`settings/clusters`): parents first, what each is made from,
    and its code version.
    """

    order: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]
    code_versions: Mapping[str, str | None]

    @classmethod
    def of(cls, graph: BaseAssetGraph[AssetNode]) -> "Lineage":
        """Return the lineage of the partitioned assets of an asset graph."""
        nodes = [
            graph.get(key) for key in graph.toposorted_asset_keys if graph.get(key).is_partitioned
        ]
        names = [node.key.to_user_string() for node in nodes]
        parents = {
            name: tuple(sorted(key.to_user_string() for key in node.parent_keys))
            for name, node in zip(names, nodes, strict=True)
        }
        return cls(
            tuple(names),
            parents,
            {name: node.code_version for name, node in zip(names, nodes, strict=True)},
        )


@dataclass(frozen=True)
class Materialised:
    """The latest materialisation of an asset for one category: its version, and by name the hashes
    of what went in.
    """

    version: str
    code_version: str | None
    inputs: Mapping[str, str]
    source_version: str | None
    run_id: str
    time: float


@dataclass(frozen=True)
class SourceVersion:
    """What a source looks like now.

    `data_version` is what materialising it would give, where that is known beforehand.
    """

    version: str
    data_version: str | None = None


@dataclass(frozen=True)
class AssetState:
    """How an asset stands, and why when it is not fresh.

    `certain`: it has to be materialised whatever its stale parents become. Else it may turn out
    fresh once they are done.
    """

    status: Status
    why: str = ""
    certain: bool = False


def read_materialised(
    instance: dg.DagsterInstance,
    lineage: Lineage,
    categories: Iterable[str],
    manifests: ManifestStore,
) -> dict[str, dict[str, Materialised]]:
    """Return the latest materialisations by category and asset; one whose manifest is gone does not
    count.
    """
    wanted = set(categories)
    materialised: dict[str, dict[str, Materialised]] = {category: {} for category in wanted}
    for name in lineage.order:
        key = dg.AssetKey.from_user_string(name)
        latest = instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        by_storage_id = {
            storage_id: category for category, storage_id in latest.items() if category in wanted
        }
        if not by_storage_id:
            continue
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, storage_ids=list(by_storage_id)), limit=len(by_storage_id)
        ).records
        for record in records:
            category = by_storage_id[record.storage_id]
            if not manifests.is_gone(name, category):
                materialised[category][name] = _materialised(record)
    return materialised


def judge(
    lineage: Lineage,
    materialised: Mapping[str, Materialised],
    sources: Mapping[str, SourceVersion],
    demanded: Mapping[str, str] | None = None,
) -> dict[str, AssetState]:
    """Return the state of every asset of one category, given its materialisations and its sources
    as they are now.

    `demanded`: assets that should run although nothing changed that they are made from, and why.
    """
    judgement = _Judgement(lineage, materialised, sources, demanded or {})
    for name in lineage.order:
        judgement.states[name] = judgement.of(name)
    return judgement.states


def plan(lineage: Lineage, states: Mapping[str, AssetState]) -> list[str]:
    """Return the assets that one run should materialise next: right whatever the run brings,
    parents first.

    What only might have to follow waits for the next plan, made when the versions of its parents
    are known.
    """
    batch: list[str] = []
    for name in lineage.order:
        ready = all(
            states[parent].status is Status.FRESH or parent in batch
            for parent in lineage.parents[name]
        )
        if ready and states[name].certain:
            batch.append(name)
    return batch


@dataclass(frozen=True)
class _Judgement:
    """One pass over the assets of a category, parents first."""

    lineage: Lineage
    materialised: Mapping[str, Materialised]
    sources: Mapping[str, SourceVersion]
    demanded: Mapping[str, str]
    states: dict[str, AssetState] = field(default_factory=dict)

    def of(self, name: str) -> AssetState:
        """Return the state of an asset whose parents have theirs."""
        made, code_version = self.materialised.get(name), self.lineage.code_versions[name]
        if made is None:
            return AssetState(
                Status.MISSING, "was never materialised, or its manifest is gone", certain=True
            )
        if name in self.sources and made.source_version != self.sources[name].version:
            return AssetState(Status.STALE, SOURCE_CHANGED, certain=True)
        if made.code_version != code_version:
            return AssetState(
                Status.STALE,
                f"code version {made.code_version} became {code_version}",
                certain=True,
            )
        if name in self.demanded:
            return AssetState(Status.STALE, self.demanded[name], certain=True)
        return self._of_inputs(made, self.lineage.parents[name])

    def _of_inputs(self, made: Materialised, parents: tuple[str, ...]) -> AssetState:
        if removed := sorted(set(made.inputs) - set(parents)):
            return AssetState(
                Status.STALE, f"is no longer made from {_quoted(removed)}", certain=True
            )
        changed = [
            parent
            for parent in parents
            if made.inputs.get(parent) != _as_input(self._version(parent))
        ]
        if changed:
            return AssetState(
                Status.STALE,
                f"{_quoted(changed)} changed",
                certain=any(map(self._is_decided, changed)),
            )
        waiting = [parent for parent in parents if not self._is_decided(parent)]
        return (
            AssetState(Status.STALE, f"follows {_quoted(waiting)}")
            if waiting
            else AssetState(Status.FRESH)
        )

    def _version(self, name: str) -> str | None:
        foreseen = self.sources[name].data_version if name in self.sources else None
        return foreseen or (self.materialised[name].version if name in self.materialised else None)

    def _is_decided(self, name: str) -> bool:
        """Whether the version that an asset has, or is going to have, is known."""
        foreseen = name in self.sources and self.sources[name].data_version is not None
        return foreseen or self.states[name].status is Status.FRESH


def _as_input(version: str | None) -> str | None:
    # Dagster records the hash of the versions of all partitions that went in, which here is always
    # one.
    return None if version is None else hashlib.sha256(version.encode()).hexdigest()


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _materialised(record: dg.EventLogRecord) -> Materialised:
    event = record.asset_materialization
    tags = (event.tags if event else None) or {}
    source = event.metadata.get(SOURCE_VERSION) if event else None
    return Materialised(
        version=tags.get(DATA_VERSION_TAG, ""),
        code_version=tags.get(CODE_VERSION_TAG),
        inputs={
            tag.removeprefix(INPUT_VERSION_TAG): version
            for tag, version in tags.items()
            if tag.startswith(INPUT_VERSION_TAG)
        },
        source_version=str(source.value) if source else None,
        run_id=record.run_id,
        time=record.timestamp,
    )


def settings_version(settings: StageSettings) -> SourceVersion:
    """Return the version of a stage's settings; knobs that only change the speed are in it, but not
    in the data version.
    """
    fingerprint = settings.fingerprint()
    return SourceVersion(_digest(fingerprint, settings.model_dump_json()), fingerprint)


def catalogue_version(source: "CatalogueSource") -> str:
    """Return the version of what the catalogue is read from, wherever its result goes and its
    pictures come from; its columns are settings.
    """
    elsewhere = ("output", "hosts", "columns")
    read = {name: value for name, value in asdict(source).items() if name not in elsewhere}
    return _digest(sorted(read.items()))


def corrections_version(statements: pd.DataFrame) -> str:
    """Return the version of the corrections that may concern a category, given as the store has
    them.
    """
    return content_version(statements, CORRECTIONS)


def overrides_version(statements: pd.DataFrame) -> str:
    """Return the version of what such corrections say about rejects."""
    return content_version(statements[statements["kind"] == Keep.kind], CORRECTIONS)


def register_version(project: Project, category: str) -> str:
    """Return how far the register of cluster numbers has come for a category: what it says of
    births, splits and merges is shown in the workbook and in the report.
    """
    what, place = "register of cluster numbers", project.place(layout.CLUSTER_NUMBERS)
    if isinstance(place, Path) and not place.exists():
        return _digest()
    register = open_tables(place, "", f"The {what} {{path}}: {{error}}.", what)
    return _digest(register.extent(layout.NUMBERED_RESULTS, layout.RESULT_NUMBER, category))


def delivery_version(project: Project, source: "CatalogueSource") -> str:
    """Return the version of a delivery: the bytes that were labelled, where they went, whether
    they are still there, and what the register says of the clusters.
    """
    there = source.output is None or Path(source.output).exists()
    register = register_version(project, source.category)
    return _digest(catalogue_version(source), source.output, there, register)


def source_versions(project: Project, category: str) -> dict[str, SourceVersion]:
    """Return the versions of all sources of `category` by asset name; raises InputError when
    settings or record are wrong.
    """
    settings, source = project.category_settings(category), project.sources.load(category)
    versions = {f"settings/{name}": settings_version(settings.stage(name)) for name in STAGES}
    versions["catalogue"] = SourceVersion(catalogue_version(source))
    statements = project.corrections.manifest(category)
    versions["corrections"] = SourceVersion(corrections_version(statements))
    versions["overruled_pictures"] = SourceVersion(overrides_version(statements))
    versions["labeled_excel"] = SourceVersion(delivery_version(project, source))
    versions["category_report"] = SourceVersion(register_version(project, category))
    return versions


def refresh_record(project: Project, category: str) -> "CatalogueSource":
    """Return the category's record, made again when the bytes on disk are no longer those that were
    recorded.
    """
    source = project.sources.load(category)
    if source.is_folder or not project.sources.changed_on_disk(source):
        return source
    return project.sources.record_again(source)


def due_work(project: Project, category: str) -> dict[str, str]:
    """Return what should run although nothing it is made from changed, and why: pictures that are
    due for another request.
    """
    from clustering_pipeline.stages.download import requests_due

    catalogue = project.manifests.read("catalogue", category)
    if catalogue is None:
        return {}
    settings = project.category_settings(category).download
    due = requests_due(catalogue, settings, project.context(category, logging.getLogger(__name__)))
    return {"raw_images": f"{due:,} pictures are due for another request"} if due else {}


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
