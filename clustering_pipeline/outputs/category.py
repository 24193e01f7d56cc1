"""The tables of one category as its report and its pages read them, made of its manifests."""

from collections.abc import Mapping

import pandas as pd

from clustering_pipeline.outputs.prices import product_prices
from clustering_pipeline.outputs.report import CategoryTables
from clustering_pipeline.outputs.workbook import pack_texts, suggest_names
from clustering_pipeline.settings import MatchSettings, OfferSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.offers import PriceHistory


def category_tables(
    frames: Mapping[str, pd.DataFrame],
    display_name: str,
    context: StageContext,
    *,
    matches: MatchSettings,
    offers: OfferSettings,
) -> CategoryTables:
    """Return the tables of the context's category, with names for clusters that no person has
    named, and with prices.

    `frames` by the names of their manifests; those that `CategoryTables` does not know are left
    out. `matches`, `offers`: the settings under which packs and prices were read.
    """
    catalogue, clusters = frames["catalogue"], frames["clusters"]
    texts = pack_texts(catalogue, clusters, frames["local_features"], matches, context)
    prices = product_prices(
        frames["offers"],
        catalogue,
        clusters,
        PriceHistory(context.blobs.files, context.category).readings(),
        outlier_z=offers.outlier_z,
    )
    return CategoryTables(
        category=context.category,
        display_name=display_name,
        suggested_names=suggest_names(catalogue, clusters, texts),
        prices=prices,
        **{name: frames[name] for name in CategoryTables.__dataclass_fields__ if name in frames},
    )
