"""Boxes that the catalogue gives."""

import json

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import ENGLISH_PROMPTS, RAW_IMAGES, empty
from clustering_pipeline.imaging import to_png
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages import detection

SETTINGS = CropSettings(detector="given", given_class_column="class", padding=0)


def picture(context, seed):
    return context.blobs.put(
        to_png(np.random.default_rng(seed).integers(0, 256, (80, 60, 3), dtype=np.uint8))
    )


def crops(context, images, extras, settings=SETTINGS):
    frame = pd.DataFrame({"listing": range(len(images)), "image_sha256": images}).reindex(
        columns=RAW_IMAGES.schema.names
    )
    catalogue = pd.DataFrame(
        {"listing": range(len(extras)), "extra": [json.dumps(extra) for extra in extras]}
    )
    return detection.run(
        raw_images=frame.assign(position=0),
        english_prompts=empty(ENGLISH_PROMPTS),
        settings=settings,
        context=context,
        catalogue=catalogue,
    ).manifest


def test_the_box_and_the_class_are_the_catalogues(context):
    box = {"x0": "10", "y0": "12,0", "x1": "50", "y1": "70", "class": "hộp"}
    (row,) = crops(context, [picture(context, 1)], [box]).itertuples()
    assert (row.x0, row.y0, row.x1, row.y1, row.word, row.detector) == (
        10,
        12,
        50,
        70,
        "hộp",
        "given",
    )


@pytest.mark.parametrize(
    "cells",
    [{"x0": "", "y0": "1", "x1": "2", "y1": "3"}, {"x0": "a", "y0": "1", "x1": "2", "y1": "3"}],
)
def test_a_row_without_a_usable_box_keeps_its_whole_picture(context, cells):
    good = {"x0": "10", "y0": "10", "x1": "50", "y1": "70"}
    first, second = picture(context, 1), picture(context, 2)
    manifest = crops(context, [first, second], [good, cells]).set_index("image_sha256")
    assert not manifest.loc[first, "is_whole_image"]
    assert manifest.loc[second, "is_whole_image"]


def test_listings_that_share_a_picture_give_it_several_crops(context):
    image = picture(context, 1)
    boxes = [
        {"x0": "0", "y0": "0", "x1": "30", "y1": "40"},
        {"x0": "30", "y0": "40", "x1": "60", "y1": "80"},
    ]
    assert len(crops(context, [image, image], boxes)) == 2


def test_changed_boxes_give_changed_crops(context):
    image = picture(context, 1)
    first = crops(context, [image], [{"x0": "0", "y0": "0", "x1": "30", "y1": "40"}])
    second = crops(context, [image], [{"x0": "5", "y0": "0", "x1": "30", "y1": "40"}])
    assert first["crop_sha256"].tolist() != second["crop_sha256"].tolist()


def test_a_catalogue_without_the_columns_is_told_which(context):
    with pytest.raises(
        InputError, match=r"no column x0, y0, x1, y1; it has left.*crops\.given_columns"
    ):
        crops(context, [picture(context, 1)], [{"left": "1"}])
