"""What is rejected, what is a duplicate of what, and which one is kept."""

import cv2
import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.corrections import (
    Correction,
    Keep,
    ListingReference,
    Same,
    as_row,
)
from clustering_pipeline.core.manifests import CROPS, OVERRULED_PICTURES, RAW_IMAGES, empty
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.deduplication import clean_stage, overrides_stage
from clustering_pipeline_tests.stages.cache import asked
from clustering_pipeline_tests.stages.deduplication.conftest import on_white, scene


def blurred(pixels, sigma):
    return cv2.GaussianBlur(pixels, (0, 0), sigma)


BAD = {
    "blurred": blurred(scene(1), 14),
    "dark": (scene(2) * 0.02).astype(np.uint8),
    "bright": np.random.default_rng(3)
    .choice(np.uint8([255, 253, 232]), (240, 200, 1), p=[0.9, 0.08, 0.02])
    .repeat(3, axis=2),
    "nearly_uniform": np.full((120, 120, 3), 200, np.uint8),
    "too_small": scene(4, 9, 40),
    "extreme_aspect": scene(5, 12, 400),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_compared_is_rejected_in_words(shelf, kind):
    shelf.add("bad", BAD[kind])
    shelf.add("good", scene(9))
    rows = shelf.rows()
    assert rows["bad"].status == "rejected"
    assert rows["bad"].reason_kind in ({kind, "nearly_uniform"} if kind == "dark" else {kind})
    assert rows["bad"].reason.startswith(rows["bad"].reason_kind.replace("_", " ") + ": ")
    assert pd.isna(rows["bad"].keeper)
    assert rows["good"].status == "kept" and rows["good"].keeper == rows["good"].name


def test_a_studio_picture_on_white_is_judged_on_its_product(shelf):
    shelf.add("studio", on_white(scene(1), 900))
    assert shelf.rows()["studio"].status == "kept"
    street = shelf.rows(CleanImageSettings(preset="street"))["studio"]
    assert (street.status, street.reason_kind) == ("rejected", "bright")


@pytest.mark.parametrize("side", [40, 120, 600, 2000])
def test_one_sharpness_limit_fits_all_sizes(shelf, side):
    pixels = cv2.resize(scene(1, 2400, 2000), (side, side), interpolation=cv2.INTER_AREA)
    shelf.add("sharp", pixels)
    soft = blurred(cv2.resize(pixels, (160, 160), interpolation=cv2.INTER_AREA), 10)
    shelf.add("soft", cv2.resize(soft, (side, side), interpolation=cv2.INTER_CUBIC))
    rows = shelf.rows(CleanImageSettings(duplicates=False))
    assert rows["sharp"].status == "kept"
    assert rows["soft"].reason_kind == "blurred"


def test_a_reject_is_overruled_by_setting_or_by_a_person(shelf):
    image = shelf.add("bad", BAD["blurred"])
    assert shelf.rows(CleanImageSettings(keep=(image[:12],)))["bad"].status == "kept"
    assert shelf.rows(overruled=[shelf.digests["bad"]])["bad"].status == "kept"
    assert shelf.rows(CleanImageSettings(keep=("0123abcd",)))["bad"].status == "rejected"
    with pytest.raises(ValueError, match="8 to 64"):
        CleanImageSettings(keep=("abc",))


def test_what_people_keep_are_all_pictures_of_a_listing_or_the_one_they_name():
    catalogue = pd.DataFrame({"listing": [0, 1, 2], "product_base_id": ["a", "b", "b"]})
    pictures = pd.DataFrame({"listing": [0, 1, 1, 2], "image_sha256": ["p", "q", "r", None]})
    statements = [
        Keep(ListingReference("a")),
        Keep(ListingReference("b", "r")),
        Same(ListingReference("b", "q"), ListingReference("a")),
        Keep(ListingReference("x")),
    ]
    rows = [
        {"number": number, **as_row(Correction(statement, "Lan"))}
        for number, statement in enumerate(statements, 1)
    ]
    statements = pd.DataFrame(rows)
    assert overrides_stage.run(
        corrections=statements, catalogue=catalogue, raw_images=pictures
    ).manifest["image_sha256"].tolist() == ["p", "r"]
    assert overrides_stage.run(
        corrections=statements[:0], catalogue=catalogue, raw_images=pictures
    ).manifest.empty


def test_copies_follow_the_most_detailed_and_largest(shelf):
    original = scene(1, 480, 400)
    shelf.add("original", original)
    shelf.add("small", cv2.resize(original, (150, 180), interpolation=cv2.INTER_AREA))
    shelf.add("brighter", np.clip(original[10:-10, 8:-8].astype(int) + 25, 0, 255).astype(np.uint8))
    shelf.add("cropped", original[12:-12, 10:-10])
    shelf.add("other", scene(2, 480, 400))
    rows = shelf.rows()
    keeper = shelf.digests["original"]
    for name in ("small", "brighter", "cropped"):
        assert (rows[name].status, rows[name].keeper) == ("duplicate", keeper), name
        assert rows[name].reason.startswith(f"duplicate of {keeper[:12]}")
        assert rows[name].distance <= CleanImageSettings().phash_radius
    assert rows["original"].status == rows["other"].status == "kept"


@pytest.mark.parametrize("other_colour", [(120, 150, 230), (165, 165, 165)], ids=["navy", "grey"])
def test_colour_variants_of_one_stock_photo_are_two_pictures(shelf, other_colour):
    bottle = np.full((240, 200, 3), 255, np.uint8)
    cv2.rectangle(bottle, (60, 30), (140, 220), (230, 150, 165), -1)
    cv2.putText(bottle, "GEL", (70, 130), cv2.FONT_HERSHEY_SIMPLEX, 1, (20, 20, 20), 2)
    variant = bottle.copy()
    variant[(bottle == (230, 150, 165)).all(axis=2)] = other_colour
    shelf.add("pink", bottle)
    shelf.add("variant", variant)
    assert {row.status for row in shelf.rows().values()} == {"kept"}


def small_on_white(points, colour):
    picture = np.full((400, 400, 3), 255, np.uint8)
    cv2.fillPoly(picture, [np.array(points, np.int32)], colour, cv2.LINE_AA)
    return picture


def test_small_things_on_white_that_look_alike_from_afar_are_not_copies(shelf):
    angles = np.arange(10) * np.pi / 5
    star = [
        (200 + r * np.sin(a), 200 - r * np.cos(a))
        for a, r in zip(angles, [46, 20] * 5, strict=True)
    ]
    house = [(200, 154), (244, 186), (236, 237), (164, 237), (156, 186)]
    shelf.add("star", small_on_white(star, (150, 40, 40)))
    shelf.add(
        "star again",
        cv2.resize(small_on_white(star, (150, 40, 40)), (300, 300), interpolation=cv2.INTER_AREA),
    )
    shelf.add("house", small_on_white(house, (150, 40, 40)))
    rows = shelf.rows()
    assert rows["star again"].keeper == shelf.digests["star"]
    assert rows["house"].status == "kept"


def test_a_brightened_copy_with_clipped_colours_is_a_copy_and_its_original_is_kept(shelf):
    original = np.full((480, 400, 3), 250, np.uint8)
    cv2.rectangle(original, (100, 60), (300, 420), (225, 60, 40), -1)
    cv2.putText(original, "GEL 50", (120, 260), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (250, 240, 60), 4)
    shelf.add("original", original)
    brighter = np.clip(original[12:-12, 10:-10].astype(np.float32) * 1.15 + 8, 0, 255).astype(
        np.uint8
    )
    shelf.add("brighter", brighter)
    rows = shelf.rows()
    assert (rows["brighter"].status, rows["brighter"].keeper) == (
        "duplicate",
        shelf.digests["original"],
    )


@pytest.mark.parametrize(
    "turned",
    [np.fliplr, np.flipud, lambda pixels: np.rot90(pixels, 1), lambda pixels: np.rot90(pixels, 3)],
)
def test_mirrored_and_turned_copies_count_by_setting(shelf, turned):
    shelf.add("upright", scene(1))
    shelf.add("turned", np.ascontiguousarray(turned(scene(1))))
    assert {row.status for row in shelf.rows().values()} == {"kept"}
    statuses = sorted(
        row.status for row in shelf.rows(CleanImageSettings(orientations="all")).values()
    )
    assert statuses == ["duplicate", "kept"]


def test_a_poor_copy_of_a_good_picture_is_its_duplicate_not_a_reject(shelf):
    shelf.add("good", scene(1))
    shelf.add("poor", blurred(scene(1), 2))
    settings = CleanImageSettings(
        minimum_sharpness=float(shelf.rows()["poor"].sharpness + 1), phash_radius=16
    )
    rows = shelf.rows(settings)
    assert (rows["poor"].status, rows["poor"].keeper) == ("duplicate", shelf.digests["good"])


def test_the_order_of_rows_and_the_batch_do_not_matter(shelf):
    for seed in range(6):
        shelf.add(f"a{seed}", scene(seed % 3))
        shelf.add(f"b{seed}", cv2.resize(scene(seed % 3), (140, 170), interpolation=cv2.INTER_AREA))
    first = shelf.clean(CleanImageSettings(batch_size=2)).manifest
    shelf.crops.reverse()
    pd.testing.assert_frame_equal(first, shelf.clean(CleanImageSettings(batch_size=5)).manifest)


def test_limits_are_changed_without_measuring_again(shelf):
    for seed in range(4):
        shelf.add(str(seed), scene(seed))
    shelf.clean()
    hits, misses = asked(shelf.context)
    assert hits == 0 and misses >= 4
    shelf.clean(CleanImageSettings(minimum_sharpness=1e6))
    assert asked(shelf.context) == (4, 0)


def test_the_funnel_counts_every_step(shelf):
    shelf.add("good", scene(1))
    shelf.add("copy", cv2.resize(scene(1), (150, 180), interpolation=cv2.INTER_AREA))
    shelf.add("bad", BAD["blurred"])
    facts = shelf.clean().facts
    assert (
        facts["distinct_crops"],
        facts["crops_good_enough"],
        facts["crops_kept"],
        facts["duplicates"],
    ) == (3, 2, 1, 1)
    assert facts["rejected_blurred"] == 1
    assert b"<title>The funnel of pictures</title>" in shelf.context.blobs.get(
        facts["funnel_of_pictures_svg"]
    )


def test_an_empty_category(context):
    result = clean_stage.run(
        crops=empty(CROPS),
        raw_images=empty(RAW_IMAGES),
        overruled_pictures=empty(OVERRULED_PICTURES),
        settings=CleanImageSettings(),
        context=context,
    )
    assert len(result.manifest) == 0 and result.facts["distinct_crops"] == 0
