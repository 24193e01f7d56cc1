"""Small crops in a store of their own."""

import cv2
import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.manifests import CROPS, RAW_IMAGES
from clustering_pipeline.imaging import crop_digest, to_png
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.deduplication import clean_stage


def scene(seed, height=240, width=200):
    """A colourful picture with shapes and print, unlike any of another seed."""
    rng = np.random.default_rng(seed)
    base = rng.integers(40, 216, (5, 4, 3), dtype=np.uint8)
    pixels = cv2.resize(base, (width, height), interpolation=cv2.INTER_CUBIC)
    scale = width / 200
    for _ in range(8):
        x, y = (int(value) for value in rng.integers(0, (width, height)))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(pixels, (x, y), int(rng.integers(6, 40) * scale), colour, -1)
        cv2.putText(
            pixels,
            str(rng.integers(1000)),
            (x, y),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.8 * scale,
            (0, 0, 0),
            round(2 * scale),
        )
    return pixels


def on_white(pixels, margin=80):
    return np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)


class Shelf:
    """Crops of whole pictures, added one by one under a name."""

    def __init__(self, context):
        self.context = context
        self.digests = {}
        self.crops = []

    def add(self, name, pixels):
        image = self.context.blobs.put(to_png(pixels))
        digest = crop_digest(pixels)
        height, width = pixels.shape[:2]
        row = {
            "image_sha256": image,
            "rank": 0,
            "crop_sha256": digest,
            "x0": 0,
            "y0": 0,
            "x1": width,
            "y1": height,
        }
        row |= {"image_width": width, "image_height": height}
        if image not in {crop["image_sha256"] for crop in self.crops}:
            self.crops.append({**row, "is_main": True, "is_whole_image": True})
        self.digests[name] = digest
        return image

    def clean(self, settings=None, overruled=()):
        crops = pd.DataFrame(self.crops).reindex(columns=CROPS.schema.names)
        raw = pd.DataFrame({"image_sha256": [crop["image_sha256"] for crop in self.crops]}).reindex(
            columns=RAW_IMAGES.schema.names
        )
        return clean_stage.run(
            crops=crops,
            raw_images=raw,
            settings=settings or CleanImageSettings(),
            overruled_pictures=pd.DataFrame({"image_sha256": list(overruled)}),
            context=self.context,
        )

    def rows(self, settings=None, overruled=()):
        manifest = self.clean(settings, overruled).manifest.set_index("crop_sha256")
        return {name: manifest.loc[digest] for name, digest in self.digests.items()}


@pytest.fixture
def shelf(context):
    return Shelf(context)
