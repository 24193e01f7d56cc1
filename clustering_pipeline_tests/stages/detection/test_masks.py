"""Backgrounds removed by tiny SAM models that are built from their configurations and saved in the
real format.
"""

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import CATALOGUE, ENGLISH_PROMPTS, empty
from clustering_pipeline.imaging import crop_digest, cut, load_crop, load_image, to_png
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages import detection
from clustering_pipeline_tests.stages.cache import asked
from clustering_pipeline_tests.stages.detection.test_neural import PROMPTS, tiny_grounding_dino
from clustering_pipeline_tests.stages.detection.test_stage import busy, product_on_white, raw_images

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIDE, CHANNELS = 64, 16


def tiny_sam(folder):
    torch.manual_seed(0)
    layers = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_dim": 32,
        "window_size": 2,
        "global_attn_indexes": [1],
    }
    size = {"image_size": SIDE, "patch_size": 16}
    configuration = transformers.SamConfig(
        vision_config={"hidden_size": CHANNELS, "output_channels": CHANNELS, "num_pos_feats": 8, **layers, **size},
        prompt_encoder_config={"hidden_size": CHANNELS, "mask_input_channels": 4, "image_embedding_size": 4, **size},
        mask_decoder_config={
            "hidden_size": CHANNELS, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 16
        },
    )  # fmt: skip
    transformers.SamModel(configuration).save_pretrained(folder)
    square, quarter = {"height": SIDE, "width": SIDE}, {"height": SIDE // 4, "width": SIDE // 4}
    processor = transformers.SamImageProcessorPil(
        size={"longest_edge": SIDE},
        pad_size=square,
        mask_size={"longest_edge": SIDE // 4},
        mask_pad_size=quarter,
    )
    transformers.SamProcessor(processor).save_pretrained(folder)
    return folder


def prompts():
    rows = [
        {
            "word": one.word,
            "english": one.english,
            "synonyms": list(one.synonyms),
            "translator": "x",
        }
        for one in PROMPTS
    ]
    return pd.DataFrame(rows)


def masked_crops(context, pictures, folder, **changes):
    settings = CropSettings(mask="sam", mask_model=str(folder), **changes)
    digests = [context.blobs.put(to_png(picture)) for picture in pictures]
    return detection.run(
        raw_images=raw_images(digests),
        english_prompts=prompts() if changes else empty(ENGLISH_PROMPTS),
        catalogue=empty(CATALOGUE),
        settings=settings,
        context=context,
    )


def test_beyond_the_mask_a_crop_is_white_and_within_it_as_it_was(tmp_path, context):
    picture = product_on_white()
    result = masked_crops(context, [picture], tiny_sam(tmp_path / "sam"))
    row = result.manifest.iloc[0]
    box = (row.x0, row.y0, row.x1, row.y1)
    crop, plain = (
        load_crop(context.blobs, row.image_sha256, box, mask=row["mask"]),
        cut(picture, box),
    )
    shown = load_image(context.blobs, row["mask"])[:, :, 0] > 0
    assert 0.1 <= shown.mean() < 1
    np.testing.assert_array_equal(crop[shown], plain[shown])
    assert (crop[~shown] == 255).all()
    assert row.crop_sha256 == crop_digest(crop)
    assert result.facts["crops_without_background"] == 1


def test_grounding_dino_and_sam_work_together(tmp_path, context):
    detector = tiny_grounding_dino(tmp_path / "detector")
    chosen = {
        "detector": "grounding-dino",
        "model": str(detector),
        "minimum_score": 0.0,
        "minimum_area": 0.0,
    }
    result = masked_crops(context, [busy()], tiny_sam(tmp_path / "sam"), **chosen)
    assert set(result.manifest["detector"]) == {"grounding-dino"}
    assert result.facts["crops_without_background"] >= 1


def test_a_picture_without_detection_keeps_its_background(tmp_path, context):
    result = masked_crops(context, [busy()], tiny_sam(tmp_path / "sam"))
    assert result.manifest["is_whole_image"].all()
    assert result.manifest["mask"].isna().all()


def test_masks_are_not_made_twice_and_follow_their_weights(tmp_path, context):
    folder = tiny_sam(tmp_path / "sam")
    masked_crops(context, [product_on_white()], folder)
    asked(context)
    masked_crops(context, [product_on_white()], folder)
    assert asked(context) == (1, 0)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    masked_crops(context, [product_on_white()], folder)
    assert asked(context) == (0, 1)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), r"crops\.mask_model"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"), "models check"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "vit"}'),
            "'vit' model",
        ),
    ],
    ids=["missing", "damaged", "another model"],
)
def test_a_segmenter_that_cannot_load_names_the_remedy(tmp_path, context, harm, sentence):
    folder = tiny_sam(tmp_path / "sam")
    harm(folder)
    with pytest.raises(StageError, match=sentence):
        masked_crops(context, [product_on_white()], folder)
