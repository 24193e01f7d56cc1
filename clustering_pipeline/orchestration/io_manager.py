"""Manifests between assets: one Parquet file per asset and partition, nothing pickled."""

import dagster as dg
import pandas as pd

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import Manifest
from clustering_pipeline.project import Project

MANIFEST_METADATA = "clustering_pipeline/manifest"


class ManifestIOManager(dg.IOManager):
    """Keeps the manifest of each asset and partition below `manifests/` of the storage."""

    def __init__(self, project: Project, manifests: dict[str, Manifest]) -> None:
        """`manifests`: the schemas by name; an asset names its own in its definition's metadata."""
        self.project = project
        self.manifests = manifests

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        manifest = self.manifests[context.definition_metadata[MANIFEST_METADATA]]
        self.project.manifests.write(
            context.asset_key.to_user_string(), _partition(context), obj, manifest
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        asset, category = context.asset_key.to_user_string(), _partition(context)
        frame = self.project.manifests.read(asset, category)
        if frame is None:
            raise StageError(
                f"`{asset}` of the category `{category}` is not there yet, and this asset is made "
                "from it. Materialise it first, or let `clustering-pipeline sync --category "
                f"{category}` make everything that is missing, in order."
            )
        return frame


def _partition(context: dg.InputContext | dg.OutputContext) -> str | None:
    return context.partition_key if context.has_partition_key else None
