"""The pictures that are compared: every keeper with its vector, its features and the titles of the
listings behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.graph import keepers
from clustering_pipeline.imaging import Box
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.features import PALETTE_LENGTH, template_from_text
from clustering_pipeline.stages.matching.verification import Floats

# From this share of all crops on a template is the marketplace's rather than a shop's.
_NEARLY_ALL = 0.9
_EDGES = ["x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class KeptCrops:
    """The keepers of a category, in the order of their sha256; all attributes have one entry per
    keeper.

    Attributes:
        crops, images, features: sha256 of the crop, of its picture, and of its packed local
            features.
        boxes: the crop within its picture.
        product_boxes: the product within its crop.
        keypoints, copies: int64 (n,), how much print there is, and how often it stands side by
            side.
        vectors: float32 (n, dimension), unit rows.
        places: the product within its picture: x0, y0, x1, y1 as shares of the picture's width and
            height.
        palettes: float32 (n, colours), unit rows; see `palette`.
        titles: the distinct titles of the listings that the crop stands for.
        templates: which cells of its picture a shop lays something over, bool (rows, columns), by
            row; only of pictures that have a template.
        shops: int64 (n,), a number that crops under one template share, -1 without a template and
            under one that nearly all crops have in common, which tells nothing of the shop.
    """

    crops: list[str]
    images: list[str]
    features: list[str]
    boxes: list[Box]
    product_boxes: list[Box]
    keypoints: NDArray[np.int64]
    copies: NDArray[np.int64]
    vectors: Floats
    places: list[tuple[float, ...]]
    titles: list[tuple[str, ...]]
    palettes: Floats = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    templates: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    shops: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.crops)

    def reading_box(self, row: int) -> Box | None:
        """Return the box of a crop whose text is read, None for the whole crop under a template."""
        return None if row in self.templates else self.product_boxes[row]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """uint64 (n,): the first 16 digits of each crop's sha256."""
        return np.array([int(crop[:16], 16) for crop in self.crops], np.uint64)


def collect_crops(
    embeddings: pd.DataFrame,
    local_features: pd.DataFrame,
    clean_images: pd.DataFrame,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    catalogue: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    *,
    settings: MatchSettings,
) -> KeptCrops:
    """Return the kept crops that stand for themselves and have a vector and local features; main
    crops only by default. Where bundles join what they hold, each counts as one product.
    """
    keeper_rows = keepers(clean_images, semantic_duplicates).dropna(subset="keeper")
    keeper_of = dict(zip(keeper_rows["crop_sha256"], keeper_rows["keeper"], strict=True))
    kept = clean_images[clean_images["status"] == "kept"].set_index("crop_sha256")
    standing = kept.loc[np.array([keeper_of.get(crop) == crop for crop in kept.index], bool)]
    if settings.crops == "main":
        standing = standing[standing["is_main"].fillna(False)]
    features = local_features.set_index("crop_sha256")
    vectors = embeddings.set_index("crop_sha256")["vector"]
    names = sorted(set(standing.index) & set(features.index) & set(vectors.index))
    standing, features = standing.loc[names], features.loc[names]
    titles = _titles(crops, raw_images, catalogue, keeper_of)
    return KeptCrops(
        crops=names,
        images=standing["image_sha256"].tolist(),
        features=features["features"].tolist(),
        boxes=_boxes(standing),
        product_boxes=_boxes(features),
        keypoints=features["keypoints"].to_numpy(np.int64),
        copies=np.ones(len(names), np.int64)
        if settings.bundles == "join"
        else features["copies"].to_numpy(np.int64),
        vectors=np.stack([np.asarray(vector, np.float32) for vector in vectors.loc[names]])
        if names
        else np.zeros((0, 1), np.float32),
        places=_places(standing, features, crops),
        titles=[titles.get(name, ()) for name in names],
        palettes=_palettes(features["palette"]),
        templates={
            row: template_from_text(cells)
            for row, cells in enumerate(features["template"])
            if isinstance(cells, str)
        },
        shops=_shops(features["template_kind"]),
    )


def _shops(kinds: pd.Series) -> NDArray[np.int64]:
    numbers, names = pd.factorize(kinds)
    counts = np.bincount(numbers[numbers >= 0], minlength=len(names))
    is_shop = np.append(counts < _NEARLY_ALL * len(kinds), False)
    return np.where(is_shop[numbers], numbers, -1).astype(np.int64)


def _palettes(palettes: pd.Series) -> Floats:
    """Return palettes as float32 rows, NaN where there is none."""
    nothing = np.full(PALETTE_LENGTH, np.nan, np.float32)
    rows = [
        nothing if one is None or np.ndim(one) == 0 else np.asarray(one, np.float32)
        for one in palettes
    ]
    return np.stack(rows) if rows else np.zeros((0, PALETTE_LENGTH), np.float32)


def _boxes(frame: pd.DataFrame) -> list[Box]:
    rows = frame[_EDGES].astype(int).itertuples(index=False, name=None)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in rows]


def _places(
    standing: pd.DataFrame, features: pd.DataFrame, crops: pd.DataFrame
) -> list[tuple[float, ...]]:
    sizes = crops.drop_duplicates("image_sha256").set_index("image_sha256")[
        ["image_width", "image_height"]
    ]
    size = np.tile(sizes.loc[standing["image_sha256"]].to_numpy(np.float64), 2)
    corner = np.tile(standing[["x0", "y0"]].to_numpy(np.float64), 2)
    places = (corner + features[_EDGES].to_numpy(np.float64)) / size
    return [tuple(row) for row in places.tolist()]


def _titles(
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    catalogue: pd.DataFrame,
    keeper_of: dict[str, str],
) -> dict[str, tuple[str, ...]]:
    shown = raw_images[["listing", "image_sha256"]].merge(
        catalogue[["listing", "title"]].dropna(), on="listing"
    )
    shown = shown.merge(
        crops.loc[crops["is_main"].fillna(False), ["image_sha256", "crop_sha256"]],
        on="image_sha256",
    )
    shown = shown.assign(keeper=shown["crop_sha256"].map(keeper_of)).dropna(
        subset=["keeper", "title"]
    )
    return {
        str(keeper): tuple(sorted(set(titles)))
        for keeper, titles in shown.groupby("keeper")["title"]
    }
