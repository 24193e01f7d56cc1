"""What is written from the clusters: the labelled workbook, the report and the search index."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
import pandas as pd

from clustering_pipeline.core.manifests import WRITTEN_FILES, conform
from clustering_pipeline.core.progress import Fact
from clustering_pipeline.orchestration.assets.factory import (
    AssetResult,
    AssetRun,
    EveryStage,
    Frames,
    page_link,
    project_asset,
)
from clustering_pipeline.orchestration.checks import EVERY_ROW_WRITTEN
from clustering_pipeline.orchestration.sync.lineage import delivery_version, register_version
from clustering_pipeline.settings import (
    STAGES,
    CatalogueSettings,
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    OfferSettings,
    ReportSettings,
    SearchSettings,
    WorkbookSettings,
)
from clustering_pipeline.stages.contract import STEPS, StageResult
from clustering_pipeline.storage import FileTree, layout

if TYPE_CHECKING:
    from clustering_pipeline.outputs.workbook import DeliveredFile, LabelledWorkbook, WorkbookNotes
    from clustering_pipeline.stages.catalogue import CatalogueSource


@project_asset(WRITTEN_FILES, group="results", kinds=["excel"], checks=[EVERY_ROW_WRITTEN])
def labeled_excel(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    matches: pd.DataFrame,
    corrections: pd.DataFrame,
    clusters: pd.DataFrame,
    offers: pd.DataFrame,
    catalogue_settings: CatalogueSettings,
    offer_settings: OfferSettings,
    match_settings: MatchSettings,
    settings: WorkbookSettings,
    in_force: EveryStage,
    run: AssetRun,
) -> AssetResult:
    """The user's own workbook with the cluster, the status and the reason of every listing at its
    right.

    It is kept in the storage, and delivered to where the category's record says when that names a
    file.
    """
    from clustering_pipeline.outputs.workbook import (
        OriginalWorkbook,
        ResultTables,
        default_output,
        deliver_workbook,
        label_workbook,
        pack_texts,
    )

    source = run.project.sources.load(run.category)
    output = Path(source.output) if source.output else None
    name = (output or default_output(Path(source.path))).name
    labelled = label_workbook(
        OriginalWorkbook(run.stage.blobs.get(source.sha256), source.name, catalogue_settings),
        ResultTables(
            catalogue, raw_images, clean_images, matches, clusters, offers, crops, corrections
        ),
        settings=settings,
        blobs=run.stage.blobs,
        output_name=name,
        offer_settings=offer_settings,
        notes=_notes(
            run,
            source,
            in_force,
            pack_texts(catalogue, clusters, local_features, match_settings, run.stage),
        ),
    )
    run.project.outputs.write(layout.output(run.category, name), labelled.content)
    delivered = (
        deliver_workbook(
            labelled.content, output, Path(source.path), run.stage.place(layout.DELIVERIES)
        )
        if output
        else None
    )
    return _result(run, source, layout.output(run.category, name), labelled, delivered)


def _notes(
    run: AssetRun,
    source: "CatalogueSource",
    in_force: EveryStage,
    texts: dict[str, list[str]],
) -> "WorkbookNotes":
    from clustering_pipeline.outputs.workbook import WorkbookNotes, cluster_dates, summary_sections
    from clustering_pipeline.stages.clustering import NumberRegister
    from clustering_pipeline.stages.offers import PriceHistory

    # Besides those of the stages: device, storage and the like, which change no result.
    settings = run.project.category_settings(run.category).model_copy(update=dict(in_force))
    events = NumberRegister(run.stage.place(layout.CLUSTER_NUMBERS)).events(run.category)
    return WorkbookNotes(
        category=run.category,
        summary=summary_sections(source.name, source.sha256, settings),
        cluster_dates=cluster_dates(events),
        pack_texts=texts,
        readings=PriceHistory(run.stage.blobs.files, run.category).readings(),
        review=page_link(run, "review").url or "",
    )


def _result(
    run: AssetRun,
    source: "CatalogueSource",
    copy_name: str,
    labelled: "LabelledWorkbook",
    delivered: "DeliveredFile | None",
) -> AssetResult:
    address = run.project.outputs.address(copy_name)
    written = {copy_name: hashlib.sha256(labelled.content).hexdigest()}
    facts: dict[str, Fact] = {
        "rows": labelled.rows,
        "workbook": str(delivered.path if delivered else address),
    }
    if delivered is not None:
        written[str(delivered.path)] = delivered.sha256
        facts |= {"message": delivered.message} if delivered.message else {}
    if labelled.losses:
        facts["not_kept"] = " ".join(labelled.losses)
    frame = pd.DataFrame(
        {"path": list(written), "sha256": list(written.values()), "rows": labelled.rows}
    )
    metadata = {"kept_copy": dg.MetadataValue.path(address), "review": page_link(run, "review")}
    version = delivery_version(run.project, source)
    return AssetResult(
        StageResult(conform(frame, WRITTEN_FILES), facts), version, metadata=metadata
    )


# What the report tells of.
REPORTED = ("catalogue", *STEPS)

# What the search index is made from: neither prices nor pairs are searched.
INDEXED = tuple(
    name for name in REPORTED if name not in ("offers", "semantic_duplicates", "matches")
)

# The report is written in each, so that whoever opens it in the browser reads their own.
LANGUAGES: tuple[Literal["en", "vi"], ...] = ("en", "vi")
# What the figures of a run depend on besides the settings.
PACKAGES = ("clustering-pipeline", "numpy", "opencv-python-headless", "scikit-learn", "rapidocr")


@project_asset(WRITTEN_FILES, frames=(*REPORTED, "corrections"), group="results", kinds=["html"])
def category_report(
    frames: Frames,
    offer_settings: OfferSettings,
    match_settings: MatchSettings,
    settings: ReportSettings,
    in_force: EveryStage,
    run: AssetRun,
) -> AssetResult:
    """One self-contained page: what was found, what is doubtful, and what became of every row."""
    from clustering_pipeline.outputs.category import category_tables
    from clustering_pipeline.outputs.report import report_pages

    tables = category_tables(
        frames,
        run.project.sources.load(run.category).display_name,
        run.stage,
        matches=match_settings,
        offers=offer_settings,
    )
    pages = report_pages(
        tables, _facts(run, in_force), settings, run.stage, LANGUAGES, matching=match_settings
    )
    path = layout.output(run.category, layout.REPORT)
    paths = {
        language: path
        if language == settings.language
        else layout.output(run.category, layout.report(language))
        for language in pages
    }
    files = run.project.outputs
    for language, page in pages.items():
        files.write(paths[language], page)
    digests = [hashlib.sha256(page).hexdigest() for page in pages.values()]
    written = pd.DataFrame(
        {"path": list(paths.values()), "sha256": digests, "rows": len(tables.clusters)}
    )
    facts: dict[str, Fact] = {
        "bytes": len(pages[settings.language]),
        "report": files.address(path),
    }
    links = {"open_report": page_link(run, "report"), "review": page_link(run, "review")}
    return AssetResult(
        StageResult(conform(written, WRITTEN_FILES), facts),
        register_version(run.project, run.category),
        metadata=links,
    )


def _facts(run: AssetRun, in_force: EveryStage) -> dict[str, dict[str, Fact]]:
    facts = {step: dict(run.facts[step]) for step in REPORTED}
    facts["settings"] = {
        f"{stage}.{name}": str(value)
        for stage in STAGES
        for name, value in in_force[stage].model_dump(mode="json").items()
    }
    facts["versions"] = {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
    return facts


@project_asset(WRITTEN_FILES, frames=INDEXED, group="results", kinds=["faiss"])
def search_index(
    frames: Frames,
    crop_settings: CropSettings,
    feature_settings: LocalFeatureSettings,
    embedding_settings: EmbeddingSettings,
    match_settings: MatchSettings,
    settings: SearchSettings,
    run: AssetRun,
) -> AssetResult:
    """The vectors of the category with their clusters, to find the listings that show what a
    picture shows.
    """
    from clustering_pipeline.outputs.search import QuerySettings, index_category

    root = run.project.search_root(run.category)
    query = QuerySettings(
        crops=crop_settings,
        local_features=feature_settings,
        embeddings=embedding_settings,
        matches=match_settings,
    )
    result = index_category(frames, query, settings, run.stage, FileTree(root))
    return AssetResult(result, metadata={"index": dg.MetadataValue.path(root)})
