"""What a run needs from outside: home, storage, engine, progress, and the manifests between assets."""

from clustering_pipeline.resources.engines import ENGINES, make_engine
from clustering_pipeline.resources.home import PipelineHome
from clustering_pipeline.resources.manifest_io import MANIFEST_METADATA, ManifestIOManager, manifest_path
from clustering_pipeline.resources.progress import LogProgress, ProgressListener
from clustering_pipeline.resources.storage import FOLDERS, Workplace

__all__ = [
    "ENGINES",
    "FOLDERS",
    "MANIFEST_METADATA",
    "LogProgress",
    "ManifestIOManager",
    "PipelineHome",
    "ProgressListener",
    "Workplace",
    "make_engine",
    "manifest_path",
]
