"""The funnel's drawing and the page of what was left out."""

from xml.etree import ElementTree

import cv2
import pandas as pd

from clustering_pipeline.core.manifests import SEMANTIC_DUPLICATES, empty
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.deduplication import draw_funnel, write_pairs_page
from clustering_pipeline.stages.deduplication.left_out import left_out
from clustering_pipeline_tests.stages.deduplication.conftest import scene

SETTINGS = CleanImageSettings()


def test_the_page_shows_what_was_left_out_beside_what_was_kept(shelf):
    shelf.add("good", scene(1))
    shelf.add("copy", cv2.resize(scene(1), (150, 180), interpolation=cv2.INTER_AREA))
    shelf.add("bad", cv2.GaussianBlur(scene(2), (0, 0), 14))
    result = shelf.clean()
    page = write_pairs_page(
        result.manifest, empty(SEMANTIC_DUPLICATES), result.facts, SETTINGS, shelf.context.blobs
    ).decode()
    assert page.count("<tr>") == 3
    assert page.count("data:image/jpeg;base64,") == 3
    assert f"duplicate of {shelf.digests['good'][:12]}" in page and "blurred: sharpness" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_most_doubtful_come_first(shelf):
    shelf.add("bad", cv2.GaussianBlur(scene(2), (0, 0), 14))
    shelf.add("good", scene(1))
    manifest = shelf.clean().manifest
    bad, good = shelf.digests["bad"], shelf.digests["good"]
    semantic = pd.DataFrame(
        {
            "crop_sha256": [good, "x"],
            "keeper": [good, good],
            "similarity": [1.0, 0.99],
            "reason": None,
        }
    )
    assert [row.crop for row in left_out(manifest, semantic, SETTINGS)] == ["x", bad]


def test_a_page_of_nothing(shelf):
    shelf.add("good", scene(1))
    result = shelf.clean()
    page = write_pairs_page(
        result.manifest, empty(SEMANTIC_DUPLICATES), result.facts, SETTINGS, shelf.context.blobs
    )
    assert b"No picture was left out." in page


def test_a_page_of_the_most_doubtful_says_of_how_many(shelf):
    shelf.add("good", scene(1))
    for sigma in (12, 14, 16):
        shelf.add(f"bad {sigma}", cv2.GaussianBlur(scene(sigma), (0, 0), sigma))
    result = shelf.clean()
    nothing = empty(SEMANTIC_DUPLICATES)
    first, every = (
        write_pairs_page(
            result.manifest, nothing, result.facts, SETTINGS, shelf.context.blobs, most
        ).decode()
        for most in (2, 300)
    )
    assert "The 2 most doubtful of 3 pictures" in first
    assert "3 pictures were left out, the most doubtful first." in every


def test_the_funnel_is_a_drawing_of_its_counts():
    drawing = draw_funnel(
        {
            "pictures_of_listings": 1200,
            "distinct_pictures": 1000,
            "distinct_crops": 1001,
            "crops_kept": 10,
        }
    )
    texts = [
        element.text
        for element in ElementTree.fromstring(drawing).iter()
        if element.tag.endswith("text")
    ]
    assert "1,200" in texts and "1,000 (−200)" in texts and "1,001 (+1)" in texts
