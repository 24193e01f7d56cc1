"""What the assets ask Dagster for: the workplace, and the manager of the manifests between them."""

from clustering_pipeline.resources.manifest_io import MANIFEST_METADATA, ManifestIOManager

__all__ = ["MANIFEST_METADATA", "ManifestIOManager"]
