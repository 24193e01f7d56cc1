"""Catalogues with offers, without a workbook around them."""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from clustering_pipeline.core.manifests import CATALOGUE, conform


def catalogue_of(rows: Sequence[Mapping[str, str]], sheet: str = "listings") -> pd.DataFrame:
    """Return the CATALOGUE manifest of rows; `id` and `title` are columns of it, all else is what
    the sheet has besides.
    """
    frame = pd.DataFrame(
        {
            "listing": range(len(rows)),
            "sheet": sheet,
            "sheet_row": range(2, len(rows) + 2),
            "product_base_id": [row.get("id", str(n)) for n, row in enumerate(rows)],
            "url_cell": "http://shop.vn/1.jpg",
            "urls": [["http://shop.vn/1.jpg"]] * len(rows),
            "title": [row.get("title") for row in rows],
            "usable": True,
            "reason": None,
            "extra": [
                json.dumps({k: v for k, v in row.items() if k not in ("id", "title")})
                for row in rows
            ],
        }
    )
    return conform(frame, CATALOGUE)
