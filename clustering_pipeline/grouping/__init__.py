"""Listings to clusters: the methods, stable numbers, corrections, and how sure each placement is."""

from clustering_pipeline.grouping.changes import Change, changes_between
from clustering_pipeline.grouping.drawings import read_drawings
from clustering_pipeline.grouping.map_equation import codelength, communities, walk_on
from clustering_pipeline.grouping.methods import GROUPING_METHODS, GroupingMethod
from clustering_pipeline.grouping.numbering import NumberRegister
from clustering_pipeline.grouping.problem import Edges, GroupingProblem
from clustering_pipeline.grouping.stage import group_listings

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
