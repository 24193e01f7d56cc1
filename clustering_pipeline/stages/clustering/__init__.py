"""Listings to clusters: the methods, stable numbers, corrections, and how sure each placement
is.
"""

from clustering_pipeline.stages.clustering.drawings import read_drawings
from clustering_pipeline.stages.clustering.map_equation import codelength, communities, walk_on
from clustering_pipeline.stages.clustering.methods import CLUSTERING_METHODS, ClusteringMethod
from clustering_pipeline.stages.clustering.numbering import Change, NumberRegister, changes_between
from clustering_pipeline.stages.clustering.problem import ClusteringProblem, Edges
from clustering_pipeline.stages.clustering.stage import run

__all__ = [
    "CLUSTERING_METHODS",
    "Change",
    "ClusteringMethod",
    "ClusteringProblem",
    "Edges",
    "NumberRegister",
    "changes_between",
    "codelength",
    "communities",
    "read_drawings",
    "run",
    "walk_on",
]
