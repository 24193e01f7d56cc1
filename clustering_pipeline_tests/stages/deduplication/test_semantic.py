"""Near-identical pictures by their embeddings."""

import cv2
import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import CLEAN_IMAGES, OVERRULED_PICTURES, empty
from clustering_pipeline.imaging import to_png
from clustering_pipeline.settings import (
    CleanImageSettings,
    EmbeddingSettings,
    SemanticDuplicateSettings,
)
from clustering_pipeline.stages.deduplication import semantic_stage

FILTERS = CleanImageSettings()


def turned(angle):
    return np.array([np.cos(angle), np.sin(angle), 0], np.float32)


def frames(vectors, context, sizes=None):
    """Crops that all show one picture, `sizes` pixels wide."""
    sizes = sizes or [100] * len(vectors)
    picture = cv2.resize(
        np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8), (300, 300)
    )
    images = {
        size: context.blobs.put(
            to_png(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA))
        )
        for size in sizes
    }
    names = [f"{place:04d}{size:060d}" for place, size in enumerate(sizes)]
    embeddings = pd.DataFrame({"crop_sha256": names, "vector": list(vectors)})
    clean = pd.DataFrame(
        {"crop_sha256": names, "image_sha256": [images[size] for size in sizes], "x0": 0, "y0": 0}
    )
    clean = clean.assign(x1=sizes, y1=sizes, is_main=False, sharpness=100.0)
    return embeddings, clean.reindex(columns=CLEAN_IMAGES.schema.names)


def judged(embeddings, clean, context, threshold=None, encoder="local"):
    return semantic_stage.run(
        embeddings=embeddings,
        clean_images=clean,
        overruled_pictures=empty(OVERRULED_PICTURES),
        embedding_settings=EmbeddingSettings.model_construct(encoder=encoder),
        settings=SemanticDuplicateSettings(threshold=threshold),
        filter_settings=FILTERS,
        context=context,
    ).manifest


def keepers(vectors, context, threshold=None, sizes=None, encoder="local"):
    embeddings, clean = frames(vectors, context, sizes)
    manifest = judged(embeddings, clean, context, threshold, encoder)
    return [int(keeper[:4]) for keeper in manifest["keeper"]], manifest["similarity"].tolist()


def test_each_member_is_checked_against_its_keeper_and_released(context):
    # 0–1 and 1–2 are near, 0–2 are not: a chain, of which the largest in the middle keeps both
    # ends.
    chain = [turned(0), turned(0.3), turned(0.6)]
    assert keepers(chain, context, np.cos(0.35), sizes=[100, 300, 100])[0] == [1, 1, 1]
    # With the largest at an end, the other end is released.
    assert keepers(chain, context, np.cos(0.35), sizes=[300, 100, 100])[0] == [0, 0, 2]


def test_crops_alone_are_their_own_keepers(context):
    found, similarity = keepers([turned(0), turned(1.5)], context)
    assert found == [0, 1] and similarity == [1.0, 1.0]


def test_equal_vectors_are_linked_at_the_threshold_itself(context):
    found, similarity = keepers([turned(0.2)] * 3, context, 1.0 - 1e-6)
    assert found == [0, 0, 0] and similarity == pytest.approx([1, 1, 1])


def test_an_unknown_encoder_has_a_careful_threshold(context):
    assert keepers([turned(0), turned(0.3)], context, encoder="unheard of")[0] == [0, 1]


def test_the_order_of_rows_does_not_matter(context):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings, clean = frames(vectors, context)
    first = judged(embeddings, clean, context, 0.9)
    again = judged(embeddings.sample(frac=1, random_state=1), clean[::-1], context, 0.9)
    pd.testing.assert_frame_equal(first, again)
    assert (first["similarity"] >= 0.9 - 1e-6).all()


def test_many_copies_beside_few_nearest_have_one_keeper(context, monkeypatch):
    rng = np.random.default_rng(1)
    copies = np.array([1, 0, 0]) + rng.normal(0, 0.004, (60, 3))
    others = rng.normal(size=(8, 3))
    vectors = np.concatenate([copies, others]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sizes = [100 + 2 * place for place in range(60)] + [90] * 8
    exact = keepers(vectors, context, 0.999, sizes)
    monkeypatch.setattr(semantic_stage, "MOST_EXACT", 8)
    monkeypatch.setattr(semantic_stage, "NEAREST", 3)
    assert keepers(vectors, context, 0.999, sizes) == exact
    assert set(exact[0][:60]) == {59}


def test_no_embeddings(context):
    assert len(judged(*frames([], context), context)) == 0


def test_what_is_too_alike_is_rejected_by_setting_and_comes_back_when_overruled(context):
    embeddings, clean = frames(
        [turned(0), turned(0.01), turned(0.02)], context, sizes=[300, 100, 120]
    )
    settings = SemanticDuplicateSettings(threshold=0.99, found="reject")

    def reasons(filters=FILTERS, overruled=()):
        result = semantic_stage.run(
            embeddings=embeddings,
            clean_images=clean,
            embedding_settings=EmbeddingSettings(),
            settings=settings,
            filter_settings=filters,
            overruled_pictures=pd.DataFrame({"image_sha256": list(overruled)}),
            context=context,
        )
        return [None if pd.isna(reason) else reason for reason in result.manifest["reason"]]

    first, *others = reasons()
    assert first is None and all(
        reason.startswith("nearly the same picture as 0000") for reason in others
    )
    name = clean["crop_sha256"][1]
    assert [reason is None for reason in reasons(overruled=[name])] == [True, True, False]
    assert reasons(CleanImageSettings(keep=tuple(clean["image_sha256"]))) == [None, None, None]
