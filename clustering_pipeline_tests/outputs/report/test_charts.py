"""Where groups of vectors lie on a plane."""

import numpy as np
import pytest

from clustering_pipeline.outputs.report.charts import divide_plane, sunflower


def test_what_looks_alike_lies_together():
    """Points along a line keep their neighbours; a shuffled table changes nothing."""
    line = np.linspace(0, 1, 64)[:, None] * np.ones((1, 5))
    cells = divide_plane(line, np.ones(64), 8, 8)
    middle = (cells[:, :2] + cells[:, 2:]) / 2
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    away = np.linalg.norm(middle[:, None] - middle[None], axis=2)
    assert np.median(steps) < np.median(away) / 2
    order = np.random.default_rng(1).permutation(64)
    assert divide_plane(line[order], np.ones(64), 8, 8) == pytest.approx(cells[order])


def test_cells_are_as_large_as_their_weights_and_fill_the_plane():
    weights = np.array([1.0, 5.0, 2.0, 9.0])
    cells = divide_plane(np.random.default_rng(0).normal(size=(4, 3)), weights, 4, 3)
    areas = (cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])
    assert areas == pytest.approx(12 * weights / weights.sum())


def test_pictures_that_look_all_the_same_have_places_too():
    cells = divide_plane(np.ones((5, 4)), np.ones(5), 5, 1)
    assert len(np.unique(cells, axis=0)) == 5
    assert sunflower(1, np.array([0.0, 0.0, 2.0, 4.0])).tolist() == [[1.0, 2.0]]
