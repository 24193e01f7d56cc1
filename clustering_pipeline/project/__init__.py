"""Where one installation works: its Dagster home, settings and storage, and the context it gives to
its stages.
"""

from clustering_pipeline.project.home import PipelineHome
from clustering_pipeline.project.project import Project

__all__ = ["PipelineHome", "Project"]
