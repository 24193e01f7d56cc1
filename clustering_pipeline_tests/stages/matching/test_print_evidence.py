"""What a verified pair shows at the same place, as columns of its raw evidence, how near two texts
are among all, and one pair judged outside any category.
"""

import dataclasses

import numpy as np
import pytest

from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.settings import LocalFeatureSettings, MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import extract, pack, unpack
from clustering_pipeline.stages.matching import compare_pair
from clustering_pipeline.stages.matching.print_evidence import ALIGNED, print_evidence
from clustering_pipeline.stages.matching.text_evidence import standing_among_texts
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products, photograph
from clustering_pipeline.synthetic.scenes import studio_picture
from clustering_pipeline_tests.stages.cache import asked

SETTINGS = MatchSettings()


@pytest.fixture(scope="module")
def photographs():
    first, *_, other = draw_products(12, seed=9)
    return [
        extract(photograph(product, None, seed))[0]
        for product, seed in ((first, 1), (first, 2), (other, 1))
    ]


def test_two_photographs_of_one_product_are_likelier_one_than_two(photographs):
    judged = compare_pair(*photographs[:2], SETTINGS)
    assert judged.probability > 0.5
    assert judged.matched_points >= SETTINGS.verification.smallest


def test_other_products_are_refused(photographs):
    assert compare_pair(photographs[0], photographs[2], SETTINGS).weight == 0


def test_a_bundle_is_not_the_single_pack(photographs):
    first, second = photographs[:2]
    bundle = dataclasses.replace(second, copies=2)
    assert (
        compare_pair(first, bundle, SETTINGS).weight
        < compare_pair(first, second, SETTINGS).weight / 2
    )


def test_marks_without_print_are_judged_by_their_silhouette(photographs):
    shape = np.zeros((64, 64), np.uint8)
    shape[26:38] = shape[:, 26:38] = 255
    nothing = {
        name: getattr(photographs[0], name)[:0]
        for name in ("points", "scales", "angles", "descriptors")
    }
    cross = dataclasses.replace(photographs[0], silhouette=shape, **nothing)
    corner = dataclasses.replace(
        cross,
        silhouette=np.where(np.tri(64, dtype=bool) & (np.arange(64) < 16), 255, 0).astype(np.uint8),
    )
    assert compare_pair(cross, cross, SETTINGS).weight > 1
    assert compare_pair(cross, corner, SETTINGS).weight == 0


def test_verified_pairs_are_compared_and_others_are_not(tmp_path):
    context = StageContext(
        BlobStore(str(tmp_path / "b")),
        FeatureTables(str(tmp_path / "f")),
        tmp_path,
        LocalEngine(workers=1),
    )
    first, second = (studio_picture(product) for product in draw_products(8, seed=3)[::7])
    darker = (first * 0.85).astype(np.uint8)
    blobs = [
        context.blobs.put(pack(extract(one, LocalFeatureSettings())[0]))
        for one in (first, darker, second)
    ]
    pairs = np.array([[0, 1], [0, 2]])
    raw = print_evidence(pairs, blobs, MatchSettings(), context)
    assert asked(context) == (0, 2)
    same, other = raw.iloc[0], raw.iloc[1]
    assert same["aligned_correlation"] > 0.8 and same["aligned_hue"] < 0.1
    assert same["map_turn"] < 0.02 and same["map_scale"] < 0.05
    assert other["inliers"] > 0 or other[list(ALIGNED)].isna().all()
    again = print_evidence(pairs, blobs, MatchSettings(), context)
    assert asked(context) == (2, 0)
    np.testing.assert_array_equal(
        again[list(ALIGNED)].to_numpy(np.float64), raw[list(ALIGNED)].to_numpy(np.float64)
    )


def test_packed_features_keep_the_frame():
    found = extract(studio_picture(draw_products(1, seed=3)[0]), LocalFeatureSettings())[0]
    read = unpack(pack(found))
    assert (read.picture, read.shown) == (found.picture, found.shown) and found.picture
    assert np.array_equal(read.silhouette, found.silhouette)


def test_texts_stand_near_where_nothing_else_does():
    texts = [
        "lumi velvet lip rose",
        "lumi velvet lip mint",
        "lumi velvet lip sand",
        "aqua sun gel spf",
        "aqua sun gel spf 50",
    ]
    csls, rank = standing_among_texts(texts, np.array([[0, 1], [3, 4], [0, 3]]))
    assert csls[1] > csls[0] > csls[2]
    assert rank[1] == 0 and rank[2] >= 1
    assert standing_among_texts(texts, np.zeros((0, 2), np.int64))[0].shape == (0,)
    assert csls == pytest.approx(standing_among_texts(texts, np.array([[1, 0], [4, 3], [3, 0]]))[0])
