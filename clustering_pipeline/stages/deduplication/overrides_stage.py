"""The overruled_pictures stage: the pictures that people want kept whatever their quality; and
why others are rejected.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from clustering_pipeline.core.corrections import Keep, read_corrections
from clustering_pipeline.core.manifests import OVERRULED_PICTURES, conform
from clustering_pipeline.settings import QualityLimits
from clustering_pipeline.stages.contract import StageResult

SHORTEST_PREFIX = 8


def run(
    *, corrections: pd.DataFrame, catalogue: pd.DataFrame, raw_images: pd.DataFrame
) -> StageResult:
    """Return the pictures that people want kept; manifest OVERRULED_PICTURES.

    A correction `keep` names a listing by its id, and perhaps one of its pictures, else all of
    them.
    """
    keep_statements = [
        recorded.statement.listing
        for recorded in read_corrections(corrections)
        if isinstance(recorded.statement, Keep)
    ]
    keep = pd.DataFrame(
        [(listing.product_base_id, listing.image_sha256) for listing in keep_statements],
        columns=["product_base_id", "image"],
        dtype=object,
    )
    pictures = raw_images.loc[raw_images["image_sha256"].notna(), ["listing", "image_sha256"]]
    ids = catalogue[["listing", "product_base_id"]]
    named = keep.merge(ids, on="product_base_id").merge(pictures, on="listing")
    meant = named["image"].isna() | (named["image"] == named["image_sha256"])
    frame = named.loc[meant, ["image_sha256"]].drop_duplicates()
    return StageResult(
        conform(frame, OVERRULED_PICTURES),
        {"statements": len(keep_statements), "pictures": len(frame)},
    )


def judge(row: Mapping[Any, Any], limits: QualityLimits) -> tuple[str, str] | None:
    """Return the kind and the sentence of the first limit that a crop breaks, None when it keeps
    them all.

    `row`: a crop's box (x0, y0, x1, y1) and measures, by the names of `Quality`.
    """
    width, height = int(row["x1"] - row["x0"]), int(row["y1"] - row["y0"])
    checks = (
        (
            min(width, height) < limits.side,
            "too_small",
            f"{width} × {height} pixels, each side needs {limits.side}",
        ),
        (
            max(width, height) > limits.aspect * min(width, height),
            "extreme_aspect",
            f"{width} × {height} pixels, the longer side may be {limits.aspect:g} times the "
            f"shorter",
        ),
        (
            row["spread"] < limits.spread,
            "nearly_uniform",
            f"its grey levels span {row['spread']:.0f} of 255",
        ),
        (
            row["brightness"] < limits.darkest,
            "dark",
            f"mean brightness {row['brightness']:.0f}, at least {limits.darkest:g}",
        ),
        (
            row["brightness"] > limits.brightest,
            "bright",
            f"mean brightness {row['brightness']:.0f}, at most {limits.brightest:g}",
        ),
        (
            row["contrast"] < limits.contrast,
            "low_contrast",
            f"contrast {row['contrast']:.0f}, at least {limits.contrast:g}",
        ),
        (
            row["sharpness"] < limits.sharpness,
            "blurred",
            f"sharpness {row['sharpness']:.0f}, at least {limits.sharpness:g}",
        ),
    )
    return next(
        (
            (kind, f"{kind.replace('_', ' ')}: {detail}")
            for broken, kind, detail in checks
            if broken
        ),
        None,
    )


def overruled(crops: pd.DataFrame, keep: Iterable[str]) -> pd.Series:
    """Return per crop whether its own or its picture's sha256 begins with one of `keep`."""
    prefixes = tuple(digest.lower() for digest in keep if len(digest) >= SHORTEST_PREFIX)
    if not prefixes:
        return pd.Series(False, index=crops.index)
    return crops["crop_sha256"].str.startswith(prefixes) | crops["image_sha256"].str.startswith(
        prefixes
    )
