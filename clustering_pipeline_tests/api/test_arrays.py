"""Single steps on pictures and arrays."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from clustering_pipeline import communities, embed, hash_image, verify
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import to_png
from clustering_pipeline.synthetic import draw_products, photograph

SERUM, TONER = (photograph(product, None, 1) for product in draw_products(2, seed=3))


def test_hashes_are_those_of_imagehash_whatever_a_picture_comes_as(tmp_path):
    path = tmp_path / "serum.png"
    path.write_bytes(to_png(SERUM))
    grey = Image.fromarray(SERUM)
    found = {hash_image(one) for one in (SERUM, grey, path, str(path), path.read_bytes())}
    assert len(found) == 1
    assert found.pop().distance(hash_image(TONER)) > 8
    assert len(hash_image(SERUM).phash) == len(str(imagehash.phash(grey))) == 16


@pytest.mark.parametrize("encoder", ["efficientnet", "local"])
def test_vectors_do_not_depend_on_what_else_is_embedded(encoder):
    both = embed([SERUM, TONER], encoder=encoder)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
    assert np.array_equal(both[1], embed([TONER], encoder=encoder)[0])


def test_no_picture_gives_no_vector():
    assert embed([]).shape[0] == 0


def test_points_of_print_lie_in_both_pictures():
    other = photograph(draw_products(2, seed=3)[0], None, 2)
    found = verify(SERUM, other)
    assert len(found) > 20 and found.probability > 0.5
    for points, picture in ((found.points_first, SERUM), (found.points_second, other)):
        assert (points >= 0).all() and (points < picture.shape[1::-1]).all()


@pytest.mark.parametrize(
    ("pairs", "weights", "size"),
    [
        ([(0, 0)], None, None),
        ([(0, 1)], [0.0], None),
        ([(0, 1)], [1, 2], None),
        ([(0, 5)], None, 3),
    ],
)
def test_a_graph_that_is_none_is_refused(pairs, weights, size):
    with pytest.raises(InputError):
        communities(pairs, weights, size=size)


def test_nodes_without_a_pair_are_communities_of_their_own():
    assert len(set(communities([(0, 1)], size=4).tolist())) == 3


def test_a_picture_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        hash_image(tmp_path / "none.jpg")
