"""Everything that Dagster is given, put together in one place."""

import dagster as dg

from clustering_pipeline.assets import ASSETS
from clustering_pipeline.manifests import MANIFESTS
from clustering_pipeline.resources import ManifestIOManager
from clustering_pipeline.workplace import PipelineHome, Workplace


def build_definitions(workplace: Workplace | None = None) -> dg.Definitions:
    """Return the definitions that work in `workplace`, the Dagster home of this process when there is none."""
    place = workplace or Workplace(PipelineHome.find())
    return dg.Definitions(
        assets=ASSETS,
        resources={"workplace": place, "manifests": ManifestIOManager(place, MANIFESTS)},
    )


defs = build_definitions()
