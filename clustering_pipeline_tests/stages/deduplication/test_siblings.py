"""Siblings differ in a shade or a number only; neither the perceptual nor the semantic filter takes
them for one picture.
"""

import cv2
import numpy as np
import pytest

from clustering_pipeline.core.manifests import OVERRULED_PICTURES, empty
from clustering_pipeline.imaging import decode_image, to_jpeg
from clustering_pipeline.settings import (
    CleanImageSettings,
    EmbeddingSettings,
    SemanticDuplicateSettings,
)
from clustering_pipeline.stages.deduplication import semantic_stage
from clustering_pipeline.synthetic.lettering import print_text

RED, BLUE = (176, 40, 60), (50, 60, 170)


def tube(colour=RED, size="50 ml", side=600):
    """A printed tube before white, one part of it coloured."""
    pixels = np.full((600, 600, 3), 255, np.uint8)
    cv2.rectangle(pixels, (200, 60), (400, 460), (238, 232, 226), -1)
    cv2.rectangle(pixels, (230, 460), (370, 545), colour, -1)
    for row, (text, height) in enumerate((("LUMI", 56), ("velvet lip", 34), (size, 40))):
        print_text(
            pixels, text, (300, 130 + 110 * row), (40, 40, 44), height=height, largest_width=180
        )
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def two_resolutions(shelf, **variants):
    for name, pixels in variants.items():
        shelf.add(f"{name} large", pixels)
        shelf.add(
            f"{name} small",
            decode_image(to_jpeg(cv2.resize(pixels, (420, 420), interpolation=cv2.INTER_AREA), 80)),
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tube(RED), tube(BLUE)),
        (tube(size="50 ml"), tube(size="100 ml")),
        (tube(size="SPF 30"), tube(size="SPF 50")),
    ],
    ids=["shade", "size", "number"],
)
def test_siblings_keep_a_picture_each(shelf, first, second):
    two_resolutions(shelf, first=first, second=second)
    rows = shelf.rows()
    assert rows["first small"]["keeper"] == shelf.digests["first large"]
    assert rows["second small"]["keeper"] == shelf.digests["second large"]


def test_vectors_alone_do_not_link_siblings(shelf, context):
    two_resolutions(shelf, red=tube(RED), blue=tube(BLUE))
    clean = shelf.clean(CleanImageSettings(duplicates=False)).manifest
    embeddings = clean[["crop_sha256"]].assign(vector=[np.array([1, 0], np.float32)] * len(clean))
    found = semantic_stage.run(
        embeddings=embeddings,
        clean_images=clean,
        overruled_pictures=empty(OVERRULED_PICTURES),
        embedding_settings=EmbeddingSettings(),
        settings=SemanticDuplicateSettings(threshold=0.9),
        filter_settings=CleanImageSettings(),
        context=context,
    ).manifest
    keepers = dict(zip(found["crop_sha256"], found["keeper"], strict=True))
    assert keepers[shelf.digests["red small"]] == shelf.digests["red large"]
    assert keepers[shelf.digests["blue small"]] == shelf.digests["blue large"]
