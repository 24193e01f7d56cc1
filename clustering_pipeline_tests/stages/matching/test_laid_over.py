"""What a verified pair shows at the same place, as columns of its raw evidence, and how near two
texts are among all.
"""

import numpy as np
import pytest

from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.settings import LocalFeatureSettings, MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import extract, pack, unpack
from clustering_pipeline.stages.matching.print_evidence import ALIGNED, print_evidence
from clustering_pipeline.stages.matching.text_evidence import standing_among_texts
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products
from clustering_pipeline.synthetic.scenes import studio_picture
from clustering_pipeline_tests.stages.cache import asked


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
