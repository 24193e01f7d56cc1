"""Colours of a product without laying anything over anything."""

import cv2
import numpy as np
import pytest

from clustering_pipeline.stages.features.colour import PALETTE_LENGTH, palette


def card(colour, shift=0):
    pixels = np.full((160, 160, 3), 255, np.uint8)
    cv2.rectangle(pixels, (50 + shift, 20), (110 + shift, 140), colour, -1)
    return pixels, (pixels == 255).all(axis=2)


def test_palettes_are_unit_vectors_that_agree_with_themselves():
    found = palette(*card((200, 60, 80)))
    assert found.shape == (PALETTE_LENGTH,)
    assert found @ found == pytest.approx(1, abs=1e-5)


def test_place_and_light_matter_little_and_hue_matters_much():
    first = palette(*card((200, 60, 80)))
    moved = palette(*card((170, 52, 70), shift=12))
    other = palette(*card((60, 140, 200)))
    assert first @ moved > 0.85
    assert first @ other < 0.2


def test_a_shade_lies_between():
    first, near, far = (
        palette(*card(colour)) for colour in ((200, 60, 80), (200, 90, 60), (70, 160, 60))
    )
    assert first @ far < first @ near < 0.999


def test_a_cast_of_the_background_is_taken_off():
    pixels, background = card((200, 60, 80))
    warm = np.clip(pixels.astype(float) * (1.0, 0.97, 0.93), 0, 255).astype(np.uint8)
    assert palette(pixels, background) @ palette(warm, background) > 0.95


def test_nothing_but_background_has_no_palette():
    assert not palette(np.full((40, 40, 3), 255, np.uint8), np.ones((40, 40), bool)).any()
