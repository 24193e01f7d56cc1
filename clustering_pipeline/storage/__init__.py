"""Content-addressed bytes and immutable feature tables on any fsspec file system."""

from clustering_pipeline.storage.blobs import BlobStore
from clustering_pipeline.storage.files import FileTree
from clustering_pipeline.storage.manifest_store import ManifestStore
from clustering_pipeline.storage.tables import FeatureTable, FeatureTables, compute_missing

__all__ = ["BlobStore", "FeatureTable", "FeatureTables", "FileTree", "ManifestStore", "compute_missing"]
