"""Copies agree in print and in colour; siblings do not."""

import cv2
import numpy as np

from clustering_pipeline.imaging import decode_image, to_jpeg
from clustering_pipeline.stages.deduplication.appearance import is_one_picture


def pack(colour=(190, 60, 80), text="50 ml"):
    pixels = np.full((600, 600, 3), 255, np.uint8)
    cv2.rectangle(pixels, (180, 60), (420, 540), (235, 225, 215), -1)
    cv2.rectangle(pixels, (180, 300), (420, 420), colour, -1)
    cv2.putText(pixels, "BRAND", (200, 180), cv2.FONT_HERSHEY_SIMPLEX, 2, (30, 30, 30), 5)
    cv2.putText(pixels, text, (215, 500), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (60, 60, 60), 4)
    return pixels


def test_scaled_compressed_cropped_and_brightened_pictures_are_copies():
    original = pack()
    assert is_one_picture(original, cv2.resize(original, (200, 200), interpolation=cv2.INTER_AREA))
    assert is_one_picture(original, decode_image(to_jpeg(original, 35)))
    assert is_one_picture(original, original[24:-18, 20:-24])
    assert is_one_picture(original, np.clip(original * 1.06 + 4, 0, 255).astype(np.uint8))


def test_another_size_colour_or_saturation_is_no_copy():
    assert not is_one_picture(pack(), pack(text="100 ml"))
    assert not is_one_picture(pack(), pack(colour=(60, 90, 190)))
    assert not is_one_picture(pack(), pack(colour=(120, 120, 120)))
