"""The prices of products: what is lowest, what stands out, how they moved."""

from clustering_pipeline.outputs.prices.presentation import (
    PriceStrip,
    Sparkline,
    money,
    number_format,
    price_rows,
    price_strip,
    prices_csv,
    prices_xlsx,
    sparkline,
)
from clustering_pipeline.outputs.prices.products import (
    Offer,
    ProductPrices,
    listing_offers,
    product_prices,
)

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
