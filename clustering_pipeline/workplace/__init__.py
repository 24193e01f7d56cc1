"""Where one installation works: its Dagster home, settings and storage, and the context it gives to its stages."""

from clustering_pipeline.workplace.engines import ENGINES, make_engine
from clustering_pipeline.workplace.home import PipelineHome
from clustering_pipeline.workplace.progress import LogProgress, ProgressListener
from clustering_pipeline.workplace.workplace import FOLDERS, Workplace

__all__ = ["ENGINES", "FOLDERS", "LogProgress", "PipelineHome", "ProgressListener", "Workplace", "make_engine"]
