"""The large print on the packs of clusters that no title names."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustering_pipeline.matching import TextLine, held_texts
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stage import StageContext

READABLE = 0.6
# Brand, line, kind and variant are a pack's largest lines; what is smaller are directions and ingredients.
LARGEST_LINES = 5


def pack_texts(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> dict[str, list[str]]:
    """Return the largest lines that the matching read on the packs of clusters without titles, by crop, from the top down.

    Nothing is read anew: a pack whose text was not needed to match it has none here.
    """
    titled = set(catalogue.loc[catalogue["title"].notna(), "listing"])
    clustered = clusters[clusters["status"] == "clustered"]
    named = set(clustered.loc[clustered["listing"].isin(titled), "cluster_id"])
    crops = set(clustered.loc[~clustered["cluster_id"].isin(named), "crop_sha256"].dropna())
    wanted = local_features[local_features["crop_sha256"].isin(crops)]
    boxes = wanted[["x0", "y0", "x1", "y1"]].astype(int).itertuples(index=False, name=None)
    places = list(zip(wanted["crop_sha256"].astype(str), boxes, strict=True))
    texts = held_texts(places, settings.reader, context) if places else {}
    return {crop: largest_lines(lines) for crop, lines in texts.items()}


def largest_lines(lines: Sequence[TextLine]) -> list[str]:
    """Return the text of the largest lines that were read with confidence, in the order of reading."""
    readable = [line for line in lines if line.confidence >= READABLE]
    heights = [-float(np.linalg.norm(line.quad[3] - line.quad[0])) for line in readable]
    chosen = sorted(np.argsort(heights, kind="stable")[:LARGEST_LINES])
    return [readable[index].text for index in chosen]
