"""The page of pictures with their boxes."""

import re

import pandas as pd

from clustering_pipeline.core.manifests import CATALOGUE, ENGLISH_PROMPTS, empty
from clustering_pipeline.imaging import to_png
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages import detection
from clustering_pipeline.stages.detection import write_contact_sheet
from clustering_pipeline_tests.stages.detection.test_stage import busy, product_on_white, raw_images


def manifest_of(context, pictures):
    digests = [context.blobs.put(picture) for picture in pictures]
    return detection.run(
        raw_images=raw_images(digests),
        english_prompts=empty(ENGLISH_PROMPTS),
        catalogue=empty(CATALOGUE),
        settings=CropSettings(),
        context=context,
    ).manifest


def test_boxes_are_drawn_where_they_are_and_pictures_without_any_come_first(context):
    manifest = manifest_of(
        context, [to_png(product_on_white()), to_png(busy()), b"<html>gone</html>"]
    )
    page = write_contact_sheet(manifest, context.blobs).decode()
    assert re.findall(
        r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)" class="main"/>', page
    ) == [
        ("0", "0", "100", "120"),
        ("38", "58", "64", "94"),
    ]
    assert (
        "nothing found" in page and "found by its outline<br>" in page and "2 of 2 pictures" in page
    )


def test_a_long_category_is_sampled(context):
    manifest = manifest_of(context, [to_png(product_on_white(seed)) for seed in range(5)])
    page = write_contact_sheet(manifest, context.blobs, most=3).decode()
    assert page.count("<svg") == 3 and "3 of 5 pictures" in page


def test_labels_are_text_and_never_markup(context):
    manifest = manifest_of(context, [to_png(product_on_white())]).assign(
        word="<script>alert(1)</script>", label="box"
    )
    assert "<script" not in write_contact_sheet(manifest, context.blobs).decode()


def test_an_empty_category_has_an_empty_sheet(context):
    assert b"0 of 0 pictures" in write_contact_sheet(manifest_of(context, []), context.blobs)
    assert isinstance(manifest_of(context, []), pd.DataFrame)
