"""The page that people look at after a run."""

import hashlib
import platform
from importlib.metadata import version

import pandas as pd

from clustering_pipeline.assets.building import AssetRun, Sourced, page_link, stage_asset
from clustering_pipeline.manifests import WRITTEN_FILES, conform
from clustering_pipeline.settings import STAGES, MatchSettings, ReportSettings
from clustering_pipeline.stage import StageResult

STEPS = (
    "catalogue",
    "raw_images",
    "english_prompts",
    "crops",
    "clean_images",
    "local_features",
    "embeddings",
    "semantic_duplicates",
    "matches",
    "clusters",
)

# What the figures of a run depend on besides the settings.
PACKAGES = ("clustering-pipeline", "numpy", "opencv-python-headless", "scikit-learn", "rapidocr")


@stage_asset(WRITTEN_FILES, group="results", kinds=["html"])
def category_report(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    local_features: pd.DataFrame,
    embeddings: pd.DataFrame,
    matches: pd.DataFrame,
    corrections: pd.DataFrame,
    clusters: pd.DataFrame,
    match_settings: MatchSettings,
    settings: ReportSettings,
    run: AssetRun,
) -> Sourced:
    """One self-contained page: what was found, what is doubtful, and what became of every row."""
    from clustering_pipeline.report import CategoryTables, write_report
    from clustering_pipeline.workbook import pack_texts, suggest_names

    tables = CategoryTables(
        category=run.category,
        display_name=run.workplace.sources.load(run.category).display_name,
        catalogue=catalogue,
        raw_images=raw_images,
        crops=crops,
        clean_images=clean_images,
        semantic_duplicates=semantic_duplicates,
        matches=matches,
        clusters=clusters,
        local_features=local_features,
        embeddings=embeddings,
        corrections=corrections,
        suggested_names=suggest_names(
            catalogue, clusters, pack_texts(catalogue, clusters, local_features, match_settings, run.stage)
        ),
    )
    page = write_report(tables, _facts(run), settings, run.stage, matching=match_settings)
    path = f"{run.category}/report.html"
    files = run.workplace.files("outputs")
    files.write(path, page)
    written = pd.DataFrame({"path": [path], "sha256": [hashlib.sha256(page).hexdigest()], "rows": [len(clusters)]})
    facts: dict[str, int | float | str] = {"bytes": len(page), "report": files.address(path)}
    links = {"open_report": page_link(run, "report"), "review": page_link(run, "review")}
    return Sourced(StageResult(conform(written, WRITTEN_FILES), facts), metadata=links)


def _facts(run: AssetRun) -> dict[str, dict[str, int | float | str]]:
    facts = {step: dict(run.workplace.manifests.read_facts(step, run.category)) for step in STEPS}
    in_force = run.workplace.category_settings(run.category)
    facts["settings"] = {
        f"{stage}.{name}": str(value)
        for stage in STAGES
        for name, value in in_force.stage(stage).model_dump(mode="json").items()
    }
    facts["versions"] = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return facts
