"""A corpus of unusual pictures from detection to the funnel: each gets its result or its reason."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    ENGLISH_PROMPTS,
    OVERRULED_PICTURES,
    RAW_IMAGES,
    empty,
)
from clustering_pipeline.settings import CleanImageSettings, CropSettings
from clustering_pipeline.stages import detection
from clustering_pipeline.stages.deduplication import clean_stage
from clustering_pipeline_tests.stages.deduplication.conftest import scene


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


PICTURE = Image.fromarray(scene(1))
GREY = PICTURE.convert("L")
USABLE = {
    "jpeg": encoded(PICTURE, "JPEG", quality=95),
    "grey": encoded(GREY),
    "sixteen bits": encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)),
    "cmyk": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "palette": encoded(PICTURE.convert("P")),
    "transparent": encoded(PICTURE.convert("RGBA")),
    "webp": encoded(PICTURE, "WEBP"),
    "animation": encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
}
UNUSABLE = {
    "one pixel": encoded(Image.new("RGB", (1, 1))),
    "cut off": USABLE["jpeg"][:2000],
    "web page": b"<!doctype html><title>404</title>",
    "bomb": encoded(Image.new("1", (10_000, 10_000))),
}
REJECTED = {
    "20,000 wide": encoded(Image.fromarray(np.tile(scene(2, 40, 200), (1, 100, 1)))),
    "blank": encoded(Image.new("RGB", (300, 300), (250, 250, 250))),
    "fully transparent": encoded(Image.new("RGBA", (300, 300), (10, 20, 30, 0))),
}


@pytest.fixture
def outcome(context):
    contents = {**USABLE, **UNUSABLE, **REJECTED}
    digests = {context.blobs.put(content): name for name, content in contents.items()}
    raw = pd.DataFrame({"listing": range(len(digests)), "image_sha256": list(digests)}).reindex(
        columns=RAW_IMAGES.schema.names
    )
    crops = detection.run(
        raw_images=raw.assign(position=0),
        english_prompts=empty(ENGLISH_PROMPTS),
        catalogue=empty(CATALOGUE),
        settings=CropSettings(),
        context=context,
    ).manifest
    clean = clean_stage.run(
        crops=crops,
        raw_images=raw,
        overruled_pictures=empty(OVERRULED_PICTURES),
        settings=CleanImageSettings(),
        context=context,
    ).manifest
    assert set(crops["image_sha256"]) == set(digests)
    return (
        crops.assign(name=crops["image_sha256"].map(digests))
        .merge(clean, on=["crop_sha256"], how="left")
        .set_index("name")
    )


def test_each_gets_its_result_or_its_reason(outcome):
    assert set(outcome.index[outcome["error"].notna()]) == set(UNUSABLE)
    assert set(outcome.index[outcome["status"] == "rejected"]) == set(REJECTED)
    assert outcome.loc[list(REJECTED), "reason"].notna().all()
    assert outcome.loc[list(USABLE), "status"].isin(["kept", "duplicate"]).all()


def test_all_encodings_of_one_picture_are_one(outcome):
    same = [name for name in USABLE if name not in ("grey", "sixteen bits")]
    assert outcome.loc[same, "keeper"].nunique() == 1
    assert outcome.loc[["grey", "sixteen bits"], "keeper"].nunique() == 1
