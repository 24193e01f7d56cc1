"""Where one installation works: its Dagster home, settings and storage, and the context it gives to
its stages.
"""

from clustering_pipeline.project.project import PipelineHome, Project

__all__ = ["PipelineHome", "Project"]
