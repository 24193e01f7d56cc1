"""Content-addressed bytes and immutable feature tables on any fsspec file system."""

from typing import TYPE_CHECKING

from clustering_pipeline.core.faces import imported_when_used
from clustering_pipeline.storage import layout
from clustering_pipeline.storage.blobs import BlobStore
from clustering_pipeline.storage.feature_tables import (
    FeatureTable,
    FeatureTables,
    compute_missing,
    part_name,
    stream_missing,
)
from clustering_pipeline.storage.files import FileTree, hold, make_folder
from clustering_pipeline.storage.local_database import LocalDatabase, Place, open_tables
from clustering_pipeline.storage.manifests import ManifestStore

if TYPE_CHECKING:
    from clustering_pipeline.storage.database import Database, SharedDatabase

__all__ = [
    "BlobStore",
    "Database",
    "FeatureTable",
    "FeatureTables",
    "FileTree",
    "LocalDatabase",
    "ManifestStore",
    "Place",
    "SharedDatabase",
    "compute_missing",
    "hold",
    "layout",
    "make_folder",
    "open_tables",
    "part_name",
    "stream_missing",
]

# SQLAlchemy is slow to load.
__getattr__ = imported_when_used(__name__, {"database": ["Database", "SharedDatabase"]})
