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
