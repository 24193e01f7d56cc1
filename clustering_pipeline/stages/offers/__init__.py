"""What a workbook says of each offer, such as price and seller, and what it said before."""

from clustering_pipeline.stages.offers.stage import ROLES, PriceHistory, Reading, read_offers, run
from clustering_pipeline.stages.offers.values import (
    Price,
    read_count,
    read_day,
    read_price,
    read_rating,
    read_share,
)

__all__ = [
    "ROLES",
    "Price",
    "PriceHistory",
    "Reading",
    "read_count",
    "read_day",
    "read_offers",
    "read_price",
    "read_rating",
    "read_share",
    "run",
]
