"""The prices of products: what is lowest, what stands out, how they moved."""

from clustering_pipeline.outputs.prices.drawings import (
    PriceStrip,
    Sparkline,
    price_strip,
    sparkline,
)
from clustering_pipeline.outputs.prices.money import money, number_format
from clustering_pipeline.outputs.prices.products import (
    Offer,
    ProductPrices,
    listing_offers,
    product_prices,
)
from clustering_pipeline.outputs.prices.tables import price_rows, prices_csv, prices_xlsx

__all__ = [
    "Offer",
    "PriceStrip",
    "ProductPrices",
    "Sparkline",
    "listing_offers",
    "money",
    "number_format",
    "price_rows",
    "price_strip",
    "prices_csv",
    "prices_xlsx",
    "product_prices",
    "sparkline",
]
