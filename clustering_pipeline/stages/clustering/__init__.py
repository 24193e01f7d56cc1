"""Listings to clusters: the methods, stable numbers, corrections, and how sure each placement is."""

from clustering_pipeline.stages.clustering.drawings import read_drawings
from clustering_pipeline.stages.clustering.map_equation import codelength, communities, walk_on
from clustering_pipeline.stages.clustering.methods import GROUPING_METHODS, GroupingMethod
from clustering_pipeline.stages.clustering.numbering import Change, NumberRegister, changes_between
from clustering_pipeline.stages.clustering.problem import Edges, GroupingProblem
from clustering_pipeline.stages.clustering.stage import group_listings

__all__ = [
    "GROUPING_METHODS",
    "Change",
    "Edges",
    "GroupingMethod",
    "GroupingProblem",
    "NumberRegister",
    "changes_between",
    "codelength",
    "communities",
    "group_listings",
    "read_drawings",
    "walk_on",
]
