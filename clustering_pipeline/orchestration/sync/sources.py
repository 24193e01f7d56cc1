"""What the sources of a category look like now, to compare with what they looked like when they
were materialised.
"""

import hashlib
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clustering_pipeline.core.corrections import Keep
from clustering_pipeline.core.manifests import CORRECTIONS, content_version
from clustering_pipeline.orchestration.sync.lineage import SourceVersion
from clustering_pipeline.project import Project
from clustering_pipeline.settings import STAGES, StageSettings
from clustering_pipeline.storage import layout, open_tables

if TYPE_CHECKING:
    from clustering_pipeline.stages.catalogue import CatalogueSource


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
