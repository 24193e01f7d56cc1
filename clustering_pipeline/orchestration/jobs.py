"""The parts of the pipeline that people start by hand, for one category or as a backfill of many.

A category is a partition of the one partition set, and a retired one keeps its history.
"""

import dagster as dg

from clustering_pipeline.orchestration.runtime.dagster_internals import UnresolvedAssetJobDefinition

CATEGORIES = dg.DynamicPartitionsDefinition(name="category")
CATEGORY_JOB = "whole_category"
REPORT_JOB = "report_status"


def _from(asset: str) -> dg.AssetSelection:
    following = dg.AssetSelection.assets(asset).downstream()
    # The settings that the parts read come along, so that a job always applies what the file says
    # now.
    return following | (following.upstream(depth=1) & dg.AssetSelection.groups("settings"))


def _job(name: str, selection: dg.AssetSelection, description: str) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(name, selection, partitions_def=CATEGORIES, description=description)


WHOLE_CATEGORY = _job(
    CATEGORY_JOB,
    dg.AssetSelection.groups("settings", "listings", "pictures", "features", "clusters", "results"),
    "Everything of a category, from its workbook to the labelled workbook.",
)
JOBS = [
    WHOLE_CATEGORY,
    _job(
        "from_crops",
        _from("crops"),
        "From the detection on; pictures are not fetched.",
    ),
    _job(
        "grouping_only",
        _from("clusters") | dg.AssetSelection.assets("corrections"),
        "Clusters and what is written from them.",
    ),
    _job(
        "output_only",
        _from("labeled_excel") | _from("category_report") | _from("search_index"),
        "The labelled workbook, the report and the search index.",
    ),
    # A name alone would be parsed as a selection, with a parser that takes a tenth of a second.
    dg.define_asset_job(
        REPORT_JOB,
        dg.AssetSelection.assets("sync_report"),
        description="How every category stands.",
    ),
]
