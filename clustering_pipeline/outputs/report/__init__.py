"""What people look at after a run: the report page, and the order in which clusters deserve a
look.
"""

from clustering_pipeline.outputs.report.charts import place_groups
from clustering_pipeline.outputs.report.doubt import (
    AskedPair,
    Cluster,
    Link,
    SameTitle,
    as_links,
    known_answers,
    neighbouring_clusters,
    read_links,
    review_order,
    same_titles,
    weakest_links,
)
from clustering_pipeline.outputs.report.i18n import (
    Language,
    Texts,
    Words,
    read_words,
    reason_in,
    translated,
)
from clustering_pipeline.outputs.report.listings import (
    Answers,
    Box,
    CategoryTables,
    Listing,
    confirmed_clusters,
    confirmed_listings,
    read_listings,
)
from clustering_pipeline.outputs.report.page import (
    certainty,
    data_uri,
    link_words,
    report_pages,
    thumbnail_jpeg,
    write_report,
)
from clustering_pipeline.outputs.report.pairs import (
    GAP,
    VIEW_HEIGHT,
    VIEW_WIDTH,
    PairView,
    pair_evidence,
    points_in_crop,
)

__all__ = [
    "GAP",
    "VIEW_HEIGHT",
    "VIEW_WIDTH",
    "Answers",
    "AskedPair",
    "Box",
    "CategoryTables",
    "Cluster",
    "Language",
    "Link",
    "Listing",
    "PairView",
    "SameTitle",
    "Texts",
    "Words",
    "as_links",
    "certainty",
    "confirmed_clusters",
    "confirmed_listings",
    "data_uri",
    "known_answers",
    "link_words",
    "neighbouring_clusters",
    "pair_evidence",
    "place_groups",
    "points_in_crop",
    "read_links",
    "read_listings",
    "read_words",
    "reason_in",
    "report_pages",
    "review_order",
    "same_titles",
    "thumbnail_jpeg",
    "translated",
    "weakest_links",
    "write_report",
]
