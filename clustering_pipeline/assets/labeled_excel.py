"""The analyst's workbook with a cluster or a reason beside every listing."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, page_link, stage_asset
from clustering_pipeline.assets.sources import delivery_version
from clustering_pipeline.checks import EVERY_ROW_WRITTEN
from clustering_pipeline.manifests import WRITTEN_FILES, conform
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.stage import StageResult

if TYPE_CHECKING:
    from clustering_pipeline.catalogue import CatalogueSource
    from clustering_pipeline.workbook import DeliveredFile, LabelledWorkbook, WorkbookNotes


@stage_asset(WRITTEN_FILES, group="results", kinds=["excel"], checks=[EVERY_ROW_WRITTEN])
def labeled_excel(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    clean_images: pd.DataFrame,
    matches: pd.DataFrame,
    clusters: pd.DataFrame,
    catalogue_settings: CatalogueSettings,
    settings: WorkbookSettings,
    run: AssetRun,
) -> Sourced:
    """The user's own workbook with the cluster, the status and the reason of every listing at its right.

    It is kept in the storage, and delivered to where the category's record says when that names a file.
    """
    from clustering_pipeline.workbook import default_output, deliver_workbook, label_workbook

    source = run.workplace.sources.load(run.category)
    output = Path(source.output) if source.output else None
    name = (output or default_output(Path(source.path))).name
    labelled = label_workbook(
        run.stage.blobs.get(source.sha256),
        source.name,
        catalogue=catalogue,
        raw_images=raw_images,
        clean_images=clean_images,
        matches=matches,
        clusters=clusters,
        settings=settings,
        catalogue_settings=catalogue_settings,
        blobs=run.stage.blobs,
        output_name=name,
        notes=_notes(run, source, catalogue, clusters),
    )
    run.workplace.files("outputs").write(f"{run.category}/{name}", labelled.content)
    delivered = deliver_workbook(labelled.content, output, Path(source.path), run.stage.state) if output else None
    return _result(run, source, f"{run.category}/{name}", labelled, delivered)


def _notes(run: AssetRun, source: "CatalogueSource", catalogue: pd.DataFrame, clusters: pd.DataFrame) -> "WorkbookNotes":
    from clustering_pipeline.grouping import NumberRegister
    from clustering_pipeline.workbook import WorkbookNotes, cluster_dates, pack_texts, summary_sections

    settings = run.workplace.category_settings(run.category)
    features = run.workplace.manifests.read("local_features", run.category)
    events = NumberRegister(run.stage.state / "cluster_numbers.sqlite").events(run.category)
    return WorkbookNotes(
        category=run.category,
        category_name=source.display_name,
        summary=summary_sections(source.name, source.sha256, settings),
        seen=cluster_dates(events),
        pack_texts=pack_texts(catalogue, clusters, features, settings.matches, run.stage) if features is not None else {},
    )


def _result(
    run: AssetRun, source: "CatalogueSource", kept: str, labelled: "LabelledWorkbook", delivered: "DeliveredFile | None"
) -> Sourced:
    address = run.workplace.files("outputs").address(kept)
    written = {kept: hashlib.sha256(labelled.content).hexdigest()}
    facts: dict[str, int | float | str] = {"rows": labelled.rows, "workbook": str(delivered.path if delivered else address)}
    if delivered is not None:
        written[str(delivered.path)] = delivered.sha256
        facts |= {"message": delivered.message} if delivered.message else {}
    if labelled.losses:
        facts["not_kept"] = " ".join(labelled.losses)
    frame = pd.DataFrame({"path": list(written), "sha256": list(written.values()), "rows": labelled.rows})
    metadata = {"kept_copy": dg.MetadataValue.path(address), "review": page_link(run, "review")}
    version = delivery_version(source)
    return Sourced(StageResult(conform(frame, WRITTEN_FILES), facts), version, metadata=metadata)
