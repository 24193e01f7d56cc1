"""Finding the pack beside captions and logos."""

import cv2
import numpy as np

from clustering_pipeline.stages.features.regions import Foreground


def shop_card():
    """A bottle at the left, a logo and a block of text at the right; the box of the bottle."""
    pixels = np.full((400, 400, 3), 253, np.uint8)
    cv2.rectangle(pixels, (60, 140), (140, 340), (40, 120, 70), -1)
    cv2.rectangle(pixels, (85, 110), (115, 140), (20, 20, 20), -1)
    cv2.rectangle(pixels, (280, 40), (370, 130), (250, 190, 200), -1)
    for row, text in enumerate(("CLEANSING", "WATER", "400 ML")):
        cv2.putText(
            pixels, text, (200, 230 + 25 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 30, 90), 1
        )
    covered = np.zeros((16, 16), bool)
    covered[1:6, 11:15] = True
    return pixels, covered, (60, 110, 141, 341)


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(0, width) * max(0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return common / (areas - common)


def test_the_pack_is_found_beside_text_and_logo():
    pixels, covered, bottle = shop_card()
    foreground = Foreground.of(pixels, covered)
    assert overlap(foreground.pack(), bottle) > 0.85
    assert overlap(foreground.regions()[0].box, bottle) > 0.85


def test_two_packs_are_held_together():
    pixels = np.full((300, 300, 3), 255, np.uint8)
    cv2.rectangle(pixels, (40, 60), (120, 240), (200, 60, 60), -1)
    cv2.rectangle(pixels, (170, 60), (250, 240), (60, 60, 200), -1)
    assert overlap(Foreground.of(pixels).pack(), (40, 60, 251, 241)) > 0.85


def test_no_even_background_no_box():
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert Foreground.of(noise) is None
    assert Foreground.of(np.full((50, 50, 3), 255, np.uint8)).pack() is None


def test_the_mask_holds_the_product_with_its_white_label():
    pixels, covered, _ = shop_card()
    cv2.rectangle(pixels, (75, 200), (125, 260), (253, 253, 253), -1)
    foreground = Foreground.of(pixels, covered)
    filled, bare = foreground.filled(), foreground.outline()
    assert filled[230, 100]
    assert not bare[230, 100]
    assert not filled[80, 320]
