"""The crops stage over stored pictures."""

import tracemalloc
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd

from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.manifests import CATALOGUE, ENGLISH_PROMPTS, RAW_IMAGES, empty
from clustering_pipeline.imaging import crop_digest, load_crop, to_png
from clustering_pipeline.settings import CropSettings, PromptSettings
from clustering_pipeline.stages import detection, prompts
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection import DETECTORS, Detections, stage
from clustering_pipeline.storage import FeatureTables
from clustering_pipeline_tests.stages.cache import asked


def product_on_white(seed=0, height=200, width=160):
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[60:150, 40:100] = np.random.default_rng(seed).integers(
        0, 160, (90, 60, 3), dtype=np.uint8
    )
    return pixels


def busy(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (120, 100, 3), dtype=np.uint8)


def raw_images(digests):
    frame = pd.DataFrame({"listing": range(len(digests)), "image_sha256": digests}).reindex(
        columns=RAW_IMAGES.schema.names
    )
    return frame.assign(position=0, error_kind=None)


def crops(digests, context, settings=None, prompts=None):
    prompts = empty(ENGLISH_PROMPTS) if prompts is None else prompts
    return detection.run(
        raw_images=raw_images(digests),
        english_prompts=prompts,
        catalogue=empty(CATALOGUE),
        settings=settings or CropSettings(),
        context=context,
    )


def test_a_picture_that_is_kept_while_its_refresh_failed_has_its_crops(context):
    digest = context.blobs.put(to_png(product_on_white()))
    kept = raw_images([digest]).assign(
        error_kind="not_found", error="asking for a newer one failed"
    )
    found = detection.run(
        raw_images=kept,
        english_prompts=empty(ENGLISH_PROMPTS),
        catalogue=empty(CATALOGUE),
        settings=CropSettings(),
        context=context,
    ).manifest
    assert (
        found["crop_sha256"].tolist() == crops([digest], context).manifest["crop_sha256"].tolist()
    )


def test_the_product_is_found_on_a_plain_background(context):
    digest = context.blobs.put(to_png(product_on_white()))
    row = crops([digest], context).manifest.iloc[0]
    assert (row.x0, row.y0, row.x1, row.y1) == (38, 58, 102, 152)
    assert row.is_main and not row.is_whole_image and row.detector == "contour"
    assert row.crop_sha256 == crop_digest(load_crop(context.blobs, digest, (38, 58, 102, 152)))


def test_a_busy_picture_is_its_own_crop(context):
    row = crops([context.blobs.put(to_png(busy()))], context).manifest.iloc[0]
    assert row.is_whole_image and (row.x1, row.y1) == (100, 120) and pd.isna(row.score)


def test_crop_off_takes_the_whole_picture(context):
    row = crops(
        [context.blobs.put(to_png(product_on_white()))], context, CropSettings(crop="off")
    ).manifest.iloc[0]
    assert row.is_whole_image and row.detector == "off"


def test_a_damaged_picture_harms_itself_alone(context):
    good, bad = (
        context.blobs.put(to_png(product_on_white())),
        context.blobs.put(b"<html>gone</html>"),
    )
    result = crops([good, bad], context)
    rows = result.manifest.set_index("image_sha256")
    assert pd.isna(rows.loc[bad].crop_sha256) and "HTML" in rows.loc[bad].error
    assert rows.loc[good].is_main and pd.isna(rows.loc[good].error)
    assert result.facts["damaged_pictures"] == 1


def test_pictures_that_failed_to_download_have_no_row(context):
    frame = raw_images([None, context.blobs.put(to_png(busy()))])
    assert (
        len(
            detection.run(
                raw_images=frame,
                english_prompts=empty(ENGLISH_PROMPTS),
                catalogue=empty(CATALOGUE),
                settings=CropSettings(),
                context=context,
            ).manifest
        )
        == 1
    )


def test_an_empty_category_gives_an_empty_manifest(context):
    result = crops([], context)
    assert len(result.manifest) == 0 and result.facts["detection_share"] == 0


def test_nothing_is_detected_twice_and_the_batch_does_not_matter(context):
    digests = [context.blobs.put(to_png(product_on_white(seed))) for seed in range(5)]
    first = crops(digests, context, CropSettings(batch_size=2))
    assert asked(context) == (0, 5)
    again = crops(digests[::-1] + digests[:2], context, CropSettings(batch_size=5))
    assert asked(context) == (5, 0)
    pd.testing.assert_frame_equal(first.manifest, again.manifest)


def test_workers_give_the_same_manifest(context, tmp_path):
    digests = [context.blobs.put(to_png(product_on_white(seed))) for seed in range(6)]
    pool = StageContext(
        context.blobs, FeatureTables(str(tmp_path / "other")), tmp_path, LocalEngine(workers=2)
    )
    pooled = crops(digests, pool, CropSettings(batch_size=1))
    pd.testing.assert_frame_equal(crops(digests, context).manifest, pooled.manifest)


class CornerDetector:
    """Finds the top left quarter for each word it is asked for."""

    name, default_score, uses_prompts, runs_in_workers = "corner", 0.5, True, False

    def __init__(self, settings):
        self.loaded = False

    def identity(self, context):
        return "corner 1"

    def load(self, context):
        self.loaded = True

    def facts(self, context):
        return {}

    def release(self):
        self.loaded = False

    def detect(self, images, prompts):
        assert self.loaded
        boxes = [[0, 0, 10 * (place + 4), 50] for place, _ in enumerate(prompts)]
        words = tuple(prompt.word for prompt in prompts)
        scores = np.full(len(prompts), 0.8, np.float32)
        return [Detections(np.array(boxes, np.float32), scores, words, words) for _ in images]


def test_a_registered_detector_gets_the_prompts_and_reacts_to_their_change(context, monkeypatch):
    monkeypatch.setitem(DETECTORS, "corner", CornerDetector)
    digest = context.blobs.put(to_png(busy()))
    for words in (("hộp",), ("hộp", "chai")):
        english = prompts.run(settings=PromptSettings(words=words), context=context).manifest
        result = crops(
            [digest],
            context,
            CropSettings(overlap=1.0).model_copy(update={"detector": "corner"}),
            english,
        )
        assert sorted(result.manifest["word"]) == sorted(words)
        assert list(result.manifest["rank"]) == list(range(len(words)))
        assert result.manifest["is_main"].tolist() == [True] + [False] * (len(words) - 1)


class CountingDetector(CornerDetector):
    """Remembers how many pictures it was given at once."""

    name = "counting"
    given: ClassVar[list[int]] = []

    def detect(self, images, prompts):
        self.given.append(len(images))
        return super().detect(images, prompts)


def test_few_large_pictures_are_held_decoded_at_once(context, monkeypatch, tmp_path):
    monkeypatch.setitem(DETECTORS, "counting", CountingDetector)
    digests = [context.blobs.put(to_png(busy(seed))) for seed in range(7)]
    settings = CropSettings().model_copy(update={"detector": "counting"})
    words = prompts.run(settings=PromptSettings(words=("hộp",)), context=context).manifest
    whole = crops(digests, context, settings, words)
    assert CountingDetector.given == [7]
    CountingDetector.given.clear()
    monkeypatch.setattr(stage, "_PORTION_PIXELS", 3 * 120 * 100)
    again = replace(context, tables=FeatureTables(str(tmp_path / "again")))
    pd.testing.assert_frame_equal(crops(digests, again, settings, words).manifest, whole.manifest)
    assert CountingDetector.given == [3, 3, 1]


def test_a_batch_of_large_pictures_takes_the_memory_of_one(context):
    """Of 16 pictures of 7 MB each."""
    pictures = (product_on_white(seed, 1500, 1500) for seed in range(16))
    digests = [context.blobs.put(to_png(picture)) for picture in pictures]
    tracemalloc.start()
    crops(digests, replace(context, engine=LocalEngine(1)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000
