"""The overruled_pictures stage: the pictures that people want kept whatever their quality."""

import pandas as pd

from clustering_pipeline.core.corrections import Keep, read_corrections
from clustering_pipeline.core.manifests import OVERRULED_PICTURES, conform
from clustering_pipeline.stages.contract import StageResult


def run(
    *, corrections: pd.DataFrame, catalogue: pd.DataFrame, raw_images: pd.DataFrame
) -> StageResult:
    """Return the pictures that people want kept; manifest OVERRULED_PICTURES.

    A correction `keep` names a listing by its id, and perhaps one of its pictures, else all of
    them.
    """
    kept = [
        recorded.statement.listing
        for recorded in read_corrections(corrections)
        if isinstance(recorded.statement, Keep)
    ]
    keep = pd.DataFrame(
        [(listing.product_base_id, listing.image_sha256) for listing in kept],
        columns=["product_base_id", "image"],
        dtype=object,
    )
    pictures = raw_images.loc[raw_images["image_sha256"].notna(), ["listing", "image_sha256"]]
    ids = catalogue[["listing", "product_base_id"]]
    named = keep.merge(ids, on="product_base_id").merge(pictures, on="listing")
    meant = named["image"].isna() | (named["image"] == named["image_sha256"])
    frame = named.loc[meant, ["image_sha256"]].drop_duplicates()
    return StageResult(
        conform(frame, OVERRULED_PICTURES), {"statements": len(kept), "pictures": len(frame)}
    )
