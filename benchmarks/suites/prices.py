"""Reading prices: the share of the values of a real marketplace table that are read, column by
column.

The table is `catalogues/shopee_beauty_prices.csv` of the data sets, or any table of a person's own
whose path CLUSTERING_PIPELINE_PRICES names.
"""

import os
import time
from pathlib import Path

from benchmarks.figures import Figure, Options, SuiteUnavailableError
from clustering_pipeline.core.delimited import read_delimited
from clustering_pipeline.core.manifests import CATALOGUE, conform
from clustering_pipeline.settings import CatalogueSettings, OfferSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.stages.offers import read_offers

TABLE_VARIABLE = "CLUSTERING_PIPELINE_PRICES"
# What must be read to the last value.
ASKED = ("price", "list_price", "discount", "sold", "rating", "reviews")


def run(options: Options) -> list[Figure]:
    """Read one table and count what was read."""
    path = _table(options)
    content = path.read_bytes()
    # The id stands in for the pictures, of which a table of prices may have none.
    header = read_delimited(content, path.name).by_header()[0]
    settings = CatalogueSettings(url_column=header[1] if len(header) > 1 else None)
    catalogue = conform(read_workbook(content, path.name, settings).listings, CATALOGUE)
    started = time.perf_counter()
    _, facts = read_offers(catalogue, OfferSettings())
    seconds = time.perf_counter() - started
    figures = [_share(role, facts) for role in ASKED if f"read_{role}" in facts]
    return [
        Figure("rows of the table", len(catalogue)),
        *figures,
        Figure("reading their offers", round(seconds, 3), "s"),
    ]


def _table(options: Options) -> Path:
    named = os.environ.get(TABLE_VARIABLE)
    path = Path(named) if named else options.dataset("catalogues") / "shopee_beauty_prices.csv"
    if not path.is_file():
        raise SuiteUnavailableError(
            f"{path} is absent: set {TABLE_VARIABLE} to a table with prices"
        )
    return path


def _share(role: str, facts: dict[str, float | str]) -> Figure:
    read, missed = int(facts[f"read_{role}"]), int(facts.get(f"unread_{role}", 0))
    return Figure(
        f"values of {role} that are read",
        read / (read + missed),
        asked=1.0,
        details={"read": read, "not read": missed},
    )
