"""The project's preprocessing against the image processors of the library whose models it feeds."""

import json

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models import preprocessing_from_configuration, read_preprocessing

PROCESSORS = {
    "CLIPImageProcessorPil": {},
    "SiglipImageProcessorPil": {},
    "ViTImageProcessorPil": {},
    "BitImageProcessorPil": {
        "size": {"shortest_edge": 256},
        "crop_size": {"height": 224, "width": 224},
    },
    "ConvNextImageProcessorPil": {"size": {"shortest_edge": 224}, "crop_pct": 0.875},
}
SHAPES = [(300, 500), (500, 300), (224, 224), (37, 640), (1000, 31), (225, 223)]


def pictures():
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in SHAPES]


@pytest.mark.parametrize("name", PROCESSORS)
def test_agrees_with_the_library(name):
    transformers = pytest.importorskip("transformers")
    processor = getattr(transformers, name)(**PROCESSORS[name])
    ours = preprocessing_from_configuration(json.loads(processor.to_json_string()))
    for picture in pictures():
        expected = processor(picture, return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(ours([picture]), expected, atol=1e-5)


def test_a_configuration_that_cannot_be_read_names_the_file(tmp_path):
    with pytest.raises(StageError, match=r"preprocessor_config\.json"):
        read_preprocessing(tmp_path)


def test_old_configurations_give_plain_numbers():
    old = {
        "size": 224,
        "crop_size": 224,
        "do_center_crop": True,
        "resample": 3,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    assert preprocessing_from_configuration(old).input_size == (224, 224)


PUBLISHED_RESNET = {
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ConvNextFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 224,
}


def test_resnet_as_published_is_resized_and_cropped(tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PUBLISHED_RESNET))
    processor = transformers.ConvNextImageProcessorPil.from_pretrained(tmp_path)
    ours = read_preprocessing(tmp_path)
    assert (ours.resize, ours.crop) == ((256,), (224, 224))
    for picture in pictures():
        expected = processor(picture, return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(ours([picture]), expected, atol=1e-5)


CENTRE_CROP = preprocessing_from_configuration(
    {
        "size": {"shortest_edge": 40},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
)


def red_with_blue_ends(height, width):
    """A long red product whose ends are blue."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = 200
    ends = picture if height < width else picture.transpose(1, 0, 2)
    ends[:, : max(height, width) // 8] = ends[:, -max(height, width) // 8 :] = (0, 0, 200)
    return picture


@pytest.mark.parametrize(("height", "width"), [(40, 160), (160, 40)])
def test_a_long_product_keeps_its_ends(height, width):
    picture = red_with_blue_ends(height, width)
    blue = {}
    for fit in ("pad", "squash", "model"):
        (planes,) = CENTRE_CROP.with_fit(fit).fit([picture])
        assert planes.shape == (3, 32, 32)
        blue[fit] = int(((planes[2] > 150) & (planes[0] < 100)).sum())
        if fit == "pad":
            corners = planes[:, [0, 0, -1, -1], [0, -1, 0, -1]]
            assert (corners == 255).all()
            middle = planes[:, 16, 16]
            assert middle[0] == 200
    assert blue["model"] == 0
    assert blue["pad"] > 0
    assert blue["squash"] > blue["pad"]


def test_only_models_that_cut_the_centre_out_are_padded_by_default():
    squashes = preprocessing_from_configuration(
        {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    )
    assert CENTRE_CROP.with_fit(None).fitting == "pad"
    assert squashes.with_fit(None) == squashes
    assert len({CENTRE_CROP.with_fit(fit).digest() for fit in ("pad", "squash", "model")}) == 3
