"""The listings of the workbook."""

from clustering_pipeline.assets.building import AssetRun, Sourced, stage_asset
from clustering_pipeline.assets.sources import catalogue_version
from clustering_pipeline.manifests import CATALOGUE
from clustering_pipeline.settings import CatalogueSettings


@stage_asset(CATALOGUE, group="listings", kinds=["excel", "pandas"])
def catalogue(settings: CatalogueSettings, run: AssetRun) -> Sourced:
    """Every row of the workbook: which can be used, and why not the others.

    Read from the copy that was kept when the catalogue was recorded, by `clustering-pipeline run` or by the sensor on the
    catalogue folder.
    """
    from clustering_pipeline.catalogue import read_catalogue

    source = run.workplace.sources.load(run.category)
    metadata = {"workbook": source.path, "display_name": source.display_name, "workbook_sha256": source.sha256}
    return Sourced(read_catalogue(source, settings, run.stage), catalogue_version(source), metadata=metadata)
