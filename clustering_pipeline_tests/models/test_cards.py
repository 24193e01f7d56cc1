"""Every card from a hub with the published lists of files: pulled, found by its name, loaded, and
asked about a picture.
"""

import numpy as np
import pytest

from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.models import MODEL_CARDS, pull_model
from clustering_pipeline.settings import CropSettings, EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection import make_detector, make_segmenter
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.stages.prompts import Prompt
from clustering_pipeline.storage import BlobStore, FeatureTables

pytest.importorskip("torch")
pytest.importorskip("transformers")

from clustering_pipeline_tests.models import published
from clustering_pipeline_tests.models.hub import TOKEN

PICTURE = np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)
ENCODERS = {
    "clip-vit-bigg": "clip",
    "clip-vit-l-14": "clip",
    "clip-vit-b-32": "clip",
    "siglip-base": "clip",
    "siglip2-base": "clip",
    "marqo-ecommerce-b": "clip",
    "marqo-ecommerce-l": "clip",
    "vit-base": "vit",
    "dinov2-base": "dinov2",
    "dinov3-base": "dinov3",
    "resnet50": "resnet50",
    "vgg16": "vgg16",
}
DETECTORS = ("yolo-world", "grounding-dino", "owlv2")
# One layout of the weights, and what goes with it.
FETCHED = {
    "clip-vit-bigg": {"open_clip_model.safetensors", "open_clip_config.json"},
    "clip-vit-b-32": {"pytorch_model.bin", "config.json", "preprocessor_config.json"},
    "clip-vit-l-14": {"model.safetensors", "config.json", "preprocessor_config.json"},
    "marqo-ecommerce-b": {"open_clip_model.safetensors", "open_clip_config.json"},
    "resnet50": {"model.safetensors", "config.json", "preprocessor_config.json"},
}


@pytest.fixture
def context(tmp_path):
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    hardware = Hardware(device="cpu", models_folder=tmp_path / "models")
    return StageContext(*storage, tmp_path, hardware=hardware)


@pytest.fixture
def pull(put, context, monkeypatch):
    def pull(name):
        if name in published.SINGLE_FILES:
            put(name, published.SINGLE_FILES[name]())
        else:
            put(name, published.published(name))
            if "gated" in MODEL_CARDS[name].licence:
                monkeypatch.setenv("HF_TOKEN", TOKEN)
        return pull_model(name, context.hardware.models_folder, SilentProgress())

    return pull


def test_every_card_has_a_published_repository():
    assert set(MODEL_CARDS) == {*published.REPOSITORIES, *published.SINGLE_FILES}
    assert set(MODEL_CARDS) == {*ENCODERS, *DETECTORS, "sam"}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_pulled_found_loaded_and_used(name, pull, context):
    pull(name)
    encoder = open_encoder(EmbeddingSettings(encoder=ENCODERS[name], model=name))
    assert len(encoder.identity(context)) > 64
    encoder.load(context)
    (vector,) = encoder.encode(encoder.preparation(context)([PICTURE]))
    assert np.isfinite(vector).all() and np.linalg.norm(vector) > 0


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_is_pulled_found_loaded_and_used(name, pull, context):
    pull(name)
    if name == "yolo-world":
        pull("clip-vit-b-32")
    detector = make_detector(CropSettings(detector=name, minimum_score=0.0, image_size=64))
    detector.load(context)
    (found,) = detector.detect([PICTURE], [Prompt("hộp", "box", ("carton",), "glossary")])
    assert np.isfinite(found.boxes).all()
    # The tiny tokenizer begins texts with token 0, which OWLv2 takes for no text at all.
    assert len(found) or name == "owlv2"


def test_the_segmenter_is_pulled_found_loaded_and_used(pull, context):
    pull("sam")
    segmenter = make_segmenter(CropSettings(mask="sam"))
    segmenter.load(context)
    (mask,) = segmenter.masks(PICTURE, [(5, 5, 55, 45)])
    assert mask is None or mask.shape == (40, 50)


@pytest.mark.parametrize("name", FETCHED)
def test_one_layout_of_the_weights_is_fetched(name, pull, hub):
    place = pull(name)
    held = {path.name for path in place.iterdir() if path.is_file()}
    weights = {name for name in held if name.endswith((".safetensors", ".bin", ".h5", ".msgpack"))}
    assert FETCHED[name] <= held
    assert len(weights) == 1
    assert not {name for name in hub.fetched() if name.endswith(".py")}
