import numpy as np
import pytest

from clustering_pipeline.stages.matching.local_scaling import above_nearest, measure_surroundings, pair_ranks, standing_out


def planted(scale=0.0, products=60, size=3, seed=0):
    """Unit rows of products; `scale` adds a direction common to all, which lifts every cosine as CLIP's does."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(products, 32)), size, axis=0)
    rows = centres + 0.7 * random.normal(size=centres.shape)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.hstack([rows, np.full((len(rows), 1), scale)])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def all_pairs(count):
    return np.column_stack(np.triu_indices(count, 1))


@pytest.mark.parametrize("score", [standing_out, above_nearest])
def test_scores_do_not_depend_on_the_level_of_an_encoders_cosines(score):
    found = []
    for scale in (0.0, 2.0):
        vectors = planted(scale)
        pairs = all_pairs(len(vectors))
        cosines = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
        found.append((cosines, score(pairs, cosines, measure_surroundings(vectors))))
    assert np.median(found[1][0]) > 0.75
    np.testing.assert_allclose(found[0][1], found[1][1], atol=2e-3)


def test_partners_stand_out_and_others_do_not():
    vectors = planted()
    pairs = all_pairs(len(vectors))
    cosines = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    same = pairs[:, 0] // 3 == pairs[:, 1] // 3
    scores = standing_out(pairs, cosines, measure_surroundings(vectors))
    assert np.quantile(scores[same], 0.1) > np.quantile(scores[~same], 0.95)
    assert abs(np.median(scores[~same])) < 0.1


def test_a_crop_that_is_near_to_all_gains_nothing_by_it():
    vectors = planted()
    hub = vectors.mean(axis=0) + 0.2 * vectors[0]
    vectors = np.vstack([vectors, hub / np.linalg.norm(hub)]).astype(np.float32)
    pairs = np.column_stack([np.arange(1, len(vectors) - 1), np.full(len(vectors) - 2, len(vectors) - 1)])
    cosines = vectors[:-1][1:] @ vectors[-1]
    assert np.median(standing_out(pairs, cosines, measure_surroundings(vectors))) < 1.6


def test_ranks_are_those_of_sorting():
    vectors = planted(products=15)
    pairs = all_pairs(len(vectors))[::7]
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    expected = [[1 + (cosines[i] > cosines[i, j]).sum(), 1 + (cosines[j] > cosines[j, i]).sum()] for i, j in pairs]
    np.testing.assert_array_equal(pair_ranks(pairs, vectors), expected)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_crops_are_no_error(count):
    vectors = planted()[:count]
    pairs = all_pairs(count).astype(np.int64)
    surroundings = measure_surroundings(vectors)
    cosines = np.ones(len(pairs), np.float32)
    assert len(surroundings.median) == count
    assert np.isfinite(standing_out(pairs, cosines, surroundings)).all()
    assert np.isfinite(above_nearest(pairs, cosines, surroundings)).all()
    assert pair_ranks(pairs, vectors).shape == (len(pairs), 2)
