"""Manifests between assets: one Parquet file per asset and partition, nothing pickled."""

from urllib.parse import quote

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_pipeline.errors import StageError
from clustering_pipeline.manifests import Manifest, to_frame, to_table, write_parquet
from clustering_pipeline.resources.storage import Workplace

MANIFEST_METADATA = "clustering_pipeline/manifest"


class ManifestIOManager(dg.IOManager):
    """Keeps the manifest of each asset and partition below `manifests/` of the storage."""

    def __init__(self, workplace: Workplace, manifests: dict[str, Manifest]) -> None:
        """`manifests`: the schemas by name; an asset names its own in its definition's metadata."""
        self.workplace = workplace
        self.manifests = manifests

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        manifest = self.manifests[context.definition_metadata[MANIFEST_METADATA]]
        self.workplace.files("manifests").write(path_of(context), write_parquet(to_table(obj, manifest)))

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        path = path_of(context)
        try:
            content = self.workplace.files("manifests").read(path)
        except FileNotFoundError as error:
            raise StageError(_missing(context)) from error
        try:
            return to_frame(pq.read_table(pa.BufferReader(content)))
        except pa.ArrowException as error:
            raise StageError(
                f"The manifest {path} in {self.workplace.storage_root} cannot be read ({error}). Materialise "
                f"`{context.asset_key.to_user_string()}` for this category again."
            ) from error


def path_of(context: dg.InputContext | dg.OutputContext) -> str:
    """Return the path of an asset's manifest below `manifests/`; any partition key gives a name that stays there."""
    return manifest_path(context.asset_key, context.partition_key if context.has_partition_key else None)


def manifest_path(key: dg.AssetKey, partition: str | None) -> str:
    """Return the path of the manifest of `key` and `partition` below `manifests/`."""
    parts = [*key.path, partition] if partition is not None else list(key.path)
    return "/".join(quote(part, safe="").replace(".", "%2E") for part in parts) + ".parquet"


def _missing(context: dg.InputContext) -> str:
    upstream, category = context.asset_key.to_user_string(), context.partition_key
    return (
        f"`{upstream}` of the category `{category}` is not there yet, and this asset is made from it. Materialise it first, or "
        f"let `clustering-pipeline sync --category {category}` make everything that is missing, in order."
    )
