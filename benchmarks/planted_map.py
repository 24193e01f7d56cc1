"""A finished category of many pictures for the pages, planted: no stage could be waited for."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CLUSTERS,
    CROPS,
    EMBEDDINGS,
    MANIFESTS,
    MATCHES,
    OFFERS,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    Manifest,
    conform,
)
from clustering_pipeline.imaging import to_jpeg
from clustering_pipeline.project import Project
from clustering_pipeline.synthetic import draw_products, photograph

SLUG = "planted"
PRODUCTS, SHOPS, DIMENSION = 150, 40, 512
# Of the pictures so many are in clusters of 2 to 8; the others match nothing.
CLUSTERED = 0.7


def plant_category(project: Project, pictures: int, seed: int = 5) -> None:
    """Write the manifests of a category with so many pictures, each of a listing of its own."""
    random = np.random.default_rng(seed)
    images = _images(project, pictures)
    cluster = _cluster_numbers(pictures, random)
    listing, sizes = np.arange(pictures), np.bincount(cluster[cluster >= 0])
    size = np.where(cluster >= 0, sizes[np.maximum(cluster, 0)], 1)
    shown = {"crop_sha256": images, "image_sha256": images, "x0": 0, "y0": 0, "x1": 96, "y1": 96}
    name = "Planted product " + pd.Series(cluster).astype(str)
    address = "https://shop.example/" + pd.Series(listing).astype(str)
    frames = [
        _frame(
            CATALOGUE,
            listing=listing,
            sheet_row=listing + 2,
            product_base_id="P" + pd.Series(listing).astype(str),
            title=name,
            url_cell=address,
            usable=True,
        ),
        _frame(
            OFFERS,
            listing=listing,
            price=np.exp(random.normal(12, 1, pictures)).round(),
            currency="VND",
            seller="Shop " + pd.Series(random.integers(0, SHOPS, pictures)).astype(str),
        ),
        _frame(
            RAW_IMAGES, listing=listing, position=0, url=address, image_sha256=images, status="ok"
        ),
        _frame(CROPS, **shown, rank=0, image_width=96, image_height=96, detector="contour"),
        _frame(CLEAN_IMAGES, **shown, status="kept", keeper=images),
        _frame(SEMANTIC_DUPLICATES, crop_sha256=images, keeper=images, similarity=1.0),
        _frame(EMBEDDINGS, crop_sha256=images, vector=_vectors(cluster, random)),
        _frame(MATCHES, **_matches(images, cluster, random)),
        _frame(
            CLUSTERS,
            listing=listing,
            cluster_id=cluster,
            cluster_size=size,
            status=np.where(cluster >= 0, "clustered", "no_match"),
            confidence=np.where(cluster >= 0, random.beta(8, 2, pictures), 1.0),
            is_representative=~pd.Series(cluster).duplicated(),
            crop_sha256=images,
            keeper=images,
        ),
    ]
    written = (CATALOGUE, OFFERS, RAW_IMAGES, CROPS, CLEAN_IMAGES, SEMANTIC_DUPLICATES)
    for manifest, frame in zip((*written, EMBEDDINGS, MATCHES, CLUSTERS), frames, strict=True):
        project.manifests.write(manifest.name, SLUG, frame, MANIFESTS[manifest.name])


def _images(project: Project, count: int) -> list[str]:
    """Store so many distinct files of a few drawn pictures and return their hashes."""
    blobs = project.context(SLUG, logging.getLogger(__name__)).blobs
    drawn = [
        to_jpeg(np.ascontiguousarray(photograph(product, None, number)[::4, ::4]), 85)
        for number, product in enumerate(draw_products(PRODUCTS, 3))
    ]
    # What follows the end of a JPEG is not read.
    return [blobs.put(drawn[row % PRODUCTS] + row.to_bytes(4, "big")) for row in range(count)]


def _cluster_numbers(count: int, random: np.random.Generator) -> Any:
    sizes = random.integers(2, 9, count)
    numbers = np.repeat(np.arange(count), sizes)[: int(count * CLUSTERED)]
    return np.concatenate([numbers, np.full(count - len(numbers), -1)])


def _vectors(cluster: Any, random: np.random.Generator) -> list[Any]:
    centres = random.normal(size=(cluster.max() + 1, DIMENSION))
    away = random.normal(size=(len(cluster), DIMENSION))
    held = np.where(cluster[:, None] >= 0, centres[np.maximum(cluster, 0)] + 0.3 * away, away)
    return list((held / np.linalg.norm(held, axis=1, keepdims=True)).astype(np.float32))


def _matches(images: list[str], cluster: Any, random: np.random.Generator) -> dict[str, Any]:
    """Return a chain of matches through each cluster, and one in twenty pictures' with the
    next cluster.
    """
    rows = np.arange(len(images) - 1)
    inside = (cluster[:-1] == cluster[1:]) & (cluster[:-1] >= 0)
    pairs = rows[inside | (random.random(len(rows)) < 0.05)]
    ends = [sorted((images[row], images[row + 1])) for row in pairs]
    together = inside[pairs]
    return {
        "crop_a": [one for one, _ in ends],
        "crop_b": [other for _, other in ends],
        "cosine": 0.8,
        "probability": np.where(
            together, random.beta(6, 2, len(pairs)), random.beta(1, 5, len(pairs))
        ),
        "weight": np.where(together, 1.0, 0.0),
    }


def _frame(manifest: Manifest, **columns: object) -> pd.DataFrame:
    given = pd.DataFrame(columns).reindex(columns=manifest.schema.names).astype(object)
    return conform(given.where(given.notna(), None), manifest)
