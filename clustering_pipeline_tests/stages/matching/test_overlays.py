from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.stages.matching.overlays import under_templates, without_overlays
from clustering_pipeline.stages.matching.text_reader import TextLine

QUAD = np.array([[0.1, 0.1], [0.5, 0.1], [0.5, 0.2], [0.1, 0.2]], np.float32)


def line(text, down=0.0):
    return TextLine(text, 0.95, QUAD + np.array([0, down], np.float32))


def products(places):
    count = len(places)
    names = [f"{number:064x}" for number in range(count)]
    whole = [(0, 0, 100, 100)] * count
    many = np.full(count, 300)
    return KeptCrops(
        names,
        names,
        names,
        whole,
        whole,
        many,
        many // 300,
        np.zeros((count, 1), np.float32),
        places,
        [()] * count,
    )


def left_of(lines, alike=(), places=None):
    """The texts that stay, where the pairs `alike` agree in their middle."""
    pairs = np.array([(0, 1), (0, 2), (1, 2)])
    agreeing = [(left, right) in alike for left, right in pairs.tolist()]
    raw = pd.DataFrame(
        {"inliers": np.where(agreeing, 40, 0), "centre_agreement": np.where(agreeing, 0.8, np.nan)}
    )
    kept = without_overlays(products(places or [(0.0, 0.0, 1.0, 1.0)] * 3), lines, pairs, raw)
    return {row: [one.text for one in found] for row, found in kept.items()}


def test_a_sticker_on_three_products_is_no_print():
    lines = {
        row: [line("FREESHIP"), line(name, 0.5)]
        for row, name in enumerate(("Petalu", "Opaline", "Nuvia"))
    }
    assert left_of(lines) == {0: ["Petalu"], 1: ["Opaline"], 2: ["Nuvia"]}


def test_the_print_of_one_photograph_that_three_shops_use_stays():
    lines = {row: [line("Petalu")] for row in range(3)}
    assert left_of(lines, alike={(0, 1), (1, 2)}) == {row: ["Petalu"] for row in range(3)}


@pytest.mark.parametrize(
    "places", [[(0.0, 0.0, 1.0, 1.0), (0.3, 0.3, 1.0, 1.0), (0.0, 0.4, 0.6, 1.0)]]
)
def test_a_word_at_other_places_is_print(places):
    lines = {row: [line("shampoo")] for row in range(3)}
    assert left_of(lines, places=places) == {row: ["shampoo"] for row in range(3)}


def test_two_products_are_too_few_for_a_sticker():
    assert left_of({0: [line("SALE")], 1: [line("SALE")]}) == {0: ["SALE"], 1: ["SALE"]}


def test_lines_under_a_template_are_no_print_and_others_are_placed_on_the_product():
    covered = np.zeros((16, 16), bool)
    covered[:4] = True
    whole = products([(0.0, 0.0, 1.0, 1.0), (0.0, 0.5, 0.5, 1.0)])
    under = replace(
        whole, templates={1: covered}, product_boxes=[(0, 0, 100, 100), (0, 50, 50, 100)]
    )
    lines = [line("SHOP"), line("Petalu", 0.5)]
    found = under_templates(under, {0: lines, 1: lines})
    assert found[0] == lines
    assert [one.text for one in found[1]] == ["Petalu"]
    # From (0.1, 0.6) of the crop to the same place in its lower left quarter.
    np.testing.assert_allclose(found[1][0].quad[0], [0.2, 0.2], atol=1e-6)
