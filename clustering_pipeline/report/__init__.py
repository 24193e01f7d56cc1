"""What people look at after a run: the report page, and the order in which clusters deserve a look."""

from clustering_pipeline.report.doubt import Cluster, Link, neighbouring_clusters, read_links, review_order, weakest_links
from clustering_pipeline.report.page import certainty, write_report
from clustering_pipeline.report.tables import CategoryTables, Listing, read_listings
from clustering_pipeline.report.texts import Texts
from clustering_pipeline.report.thumbnails import thumbnail_jpeg

__all__ = [
    "CategoryTables",
    "Cluster",
    "Link",
    "Listing",
    "Texts",
    "certainty",
    "neighbouring_clusters",
    "read_links",
    "read_listings",
    "review_order",
    "thumbnail_jpeg",
    "weakest_links",
    "write_report",
]
