"""A planted collection of any size: local features of products, each seen by several sellers,
without a picture being drawn.

A product is the print of a synthetic one with the components of its descriptors shuffled, so that
two products share nothing. A view keeps most of its keypoints, moves them by an affine map of its
own and adds noise and strangers.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CROPS,
    LOCAL_FEATURES,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    Manifest,
    conform,
)
from clustering_pipeline.settings import LocalFeatureSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import LocalFeatures, extract, pack
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.synthetic import draw_products, photograph

VIEWS, MOST_VIEWS = 8, 16
PRINTS = 64
KEYPOINTS, PLAIN_KEYPOINTS = 300, 60
# Every tenth product has little print, as many as `plain_keypoints` of the matches would compare by
# their outline.
_PLAIN_EVERY = 10
_KEPT, _NOISE, _JITTER = 0.75, 8.0, 0.8

Print = tuple[LocalFeatures, NDArray[np.float32]]


@dataclass(frozen=True)
class Collection:
    """The manifests that matching and clustering read, less the embeddings."""

    catalogue: pd.DataFrame
    raw_images: pd.DataFrame
    crops: pd.DataFrame
    clean_images: pd.DataFrame
    semantic_duplicates: pd.DataFrame
    local_features: pd.DataFrame


def numbers_of(size: int, new: int = 0) -> list[int]:
    """Return the numbers of `size` crops, `VIEWS` of each product, and of `new` more: one more view
    of old products, and new products.
    """
    products, added = -(-size // VIEWS), new // 2
    old = [product * MOST_VIEWS + view for product in range(products) for view in range(VIEWS)][
        :size
    ]
    more = [product * MOST_VIEWS + VIEWS for product in range(added)]
    others = [
        (products + number // VIEWS) * MOST_VIEWS + number % VIEWS for number in range(new - added)
    ]
    return [*old, *more, *others]


def product_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the product that each crop shows."""
    return numbers // MOST_VIEWS


def plant(numbers: list[int], context: StageContext) -> Collection:
    """Return the crops of these numbers, one listing each, whose features are stored as blobs."""
    work = partial(_store_views, blobs=context.blobs, prints=_prints())
    stored = [
        row for batch in context.engine.map_batches(work, numbers, batch_size=512) for row in batch
    ]
    return _manifests(pd.DataFrame(stored))


def _prints() -> list[Print]:
    settings = LocalFeatureSettings(keypoints=KEYPOINTS)
    drawn = draw_products(PRINTS, 11)
    return [
        extract(photograph(product, None, number), settings) for number, product in enumerate(drawn)
    ]


def _store_views(
    numbers: list[int], blobs: BlobStore, prints: list[Print]
) -> list[dict[str, object]]:
    return [_store_view(number, blobs, prints) for number in numbers]


def _store_view(number: int, blobs: BlobStore, prints: list[Print]) -> dict[str, object]:
    product = int(product_of(np.array([number]))[0])
    features, colour = prints[product % len(prints)]
    view = _view(features, product, np.random.default_rng([number, 1]))
    crop = hashlib.sha256(f"crop {number}".encode()).hexdigest()
    return {
        "number": number,
        "crop_sha256": crop,
        "features": blobs.put(pack(view)),
        "keypoints": len(view),
        "colour": np.random.default_rng([product, 2]).permutation(colour),
    }


def _view(features: LocalFeatures, product: int, random: np.random.Generator) -> LocalFeatures:
    """Return the features of `product` as one seller shows it."""
    shuffled = np.random.default_rng([product, 3]).permutation(features.descriptors.shape[1])
    most = PLAIN_KEYPOINTS if product % _PLAIN_EVERY == 0 else KEYPOINTS
    chosen = np.flatnonzero(random.random(min(most, len(features))) < _KEPT)
    descriptors = features.descriptors[chosen][:, shuffled] + random.normal(
        0, _NOISE, (len(chosen), len(shuffled))
    )
    turn = cv2.getRotationMatrix2D(
        (features.width / 2, features.height / 2), random.uniform(-8, 8), random.uniform(0.8, 1.0)
    )
    points = (
        features.points[chosen] @ turn[:, :2].T
        + turn[:, 2]
        + random.normal(0, _JITTER, (len(chosen), 2))
    )
    return replace(
        features,
        points=np.clip(points, 0, (features.width - 1, features.height - 1)).astype(np.float32),
        scales=features.scales[chosen],
        angles=features.angles[chosen],
        descriptors=np.clip(descriptors, 0, 255).astype(np.uint8),
    )


def _manifests(stored: pd.DataFrame) -> Collection:
    listing, crop = stored["number"], stored["crop_sha256"]
    whole = {"x0": 0, "y0": 0, "x1": 360, "y1": 360}
    shown = {"crop_sha256": crop, "image_sha256": crop, "is_main": True, **whole}
    address = "https://shop.example/" + listing.astype(str)
    return Collection(
        catalogue=_frame(
            CATALOGUE,
            listing=listing,
            product_base_id="P" + listing.astype(str),
            url_cell=address,
            usable=True,
        ),
        raw_images=_frame(
            RAW_IMAGES, listing=listing, position=0, url=address, image_sha256=crop, status="ok"
        ),
        crops=_frame(CROPS, **shown, rank=0, image_width=360, image_height=360, detector="contour"),
        clean_images=_frame(CLEAN_IMAGES, **shown, status="kept", keeper=crop),
        semantic_duplicates=_frame(
            SEMANTIC_DUPLICATES, crop_sha256=crop, keeper=crop, similarity=1.0
        ),
        local_features=_frame(
            LOCAL_FEATURES,
            **{str(name): stored[name] for name in stored if name != "number"},
            **whole,
            copies=1,
            palette=None,
        ),
    )


def _frame(manifest: Manifest, **columns: object) -> pd.DataFrame:
    given = pd.DataFrame(columns).reindex(columns=manifest.schema.names).astype(object)
    return conform(given.where(given.notna(), None), manifest)
