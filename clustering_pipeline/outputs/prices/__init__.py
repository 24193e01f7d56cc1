"""The prices of products: what is lowest, what stands out, how they moved."""

from clustering_pipeline.outputs.prices.money import money, number_format
from clustering_pipeline.outputs.prices.products import (
    Offer,
    ProductPrices,
    listing_offers,
    product_prices,
)
from clustering_pipeline.outputs.prices.sparkline import Sparkline, sparkline

__all__ = [
    "Offer",
    "ProductPrices",
    "Sparkline",
    "listing_offers",
    "money",
    "number_format",
    "product_prices",
    "sparkline",
]
