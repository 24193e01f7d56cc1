"""SigLIP towers in the layout of OpenCLIP, beside the library that the weights were made with."""

import json

import numpy as np
import pytest
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models import MODEL_CARDS
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.storage import BlobStore, FeatureTables

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

SIDE = 32
MEAN_AND_DEVIATION = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


def tiny_open_clip(folder, name="vit_base_patch16_siglip_224", **preprocessing):
    """Save a tiny tower of timm as the published repositories hold it, their own code and its
    configuration included.
    """
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tower = timm.create_model(
        name, pretrained=False, embed_dim=128, depth=2, num_heads=2, img_size=SIDE, num_classes=0
    )
    folder.mkdir()
    state = {f"visual.trunk.{key}": value for key, value in tower.state_dict().items()}
    save_file(
        {**state, "text.token_embedding.weight": torch.zeros(9, 4)},
        folder / "open_clip_model.safetensors",
    )
    vision = {"image_size": SIDE, "timm_model_name": name, "timm_pool": "map", "timm_proj": "none"}
    usual = {**MEAN_AND_DEVIATION, "interpolation": "bicubic", "resize_mode": "squash"}
    configuration = {
        "model_cfg": {"embed_dim": 128, "vision_cfg": vision},
        "preprocess_cfg": {**usual, **preprocessing},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(configuration))
    code = {"auto_map": {"AutoModel": "own.Model"}, "model_type": "siglip"}
    (folder / "config.json").write_text(json.dumps(code))
    (folder / "own.py").write_text("raise SystemExit('code of the repository ran')")
    return tower.eval()


@pytest.fixture
def context(tmp_path):
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    return StageContext(*storage, tmp_path, hardware=Hardware(device="cpu"))


def clip_encoder(folder):
    return open_encoder(EmbeddingSettings(encoder="clip", model=str(folder)))


def test_vectors_are_those_of_the_tower_that_was_saved(tmp_path, context):
    tower = tiny_open_clip(tmp_path / "model")
    pictures = [
        np.random.default_rng(n).integers(0, 256, (50, 40 + n, 3), dtype=np.uint8) for n in range(3)
    ]
    encoder = clip_encoder(tmp_path / "model")
    encoder.load(context)
    ours = encoder.encode(encoder.preparation(context)(pictures))
    squashed = [
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for picture in pictures
    ]
    pixels = torch.from_numpy(np.stack(squashed).transpose(0, 3, 1, 2)).float() / 127.5 - 1
    with torch.inference_mode():
        np.testing.assert_allclose(ours, tower(pixels).numpy(), atol=1e-4)


def test_a_configuration_can_ask_for_a_centre_crop(tmp_path, context):
    tiny_open_clip(tmp_path / "model", resize_mode="shortest", interpolation="bilinear")
    assert clip_encoder(tmp_path / "model").preparation(context)(
        [np.zeros((40, 90, 3), np.uint8)]
    ).shape == (1, 3, SIDE, SIDE)


def test_the_fingerprint_follows_the_configuration(tmp_path, context):
    tiny_open_clip(tmp_path / "model")
    before = clip_encoder(tmp_path / "model").identity(context)
    path = tmp_path / "model" / "open_clip_config.json"
    path.write_text(path.read_text().replace("bicubic", "bilinear"))
    assert clip_encoder(tmp_path / "model").identity(context) != before


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda folder: (folder / "open_clip_model.safetensors").unlink(), "is not there"),
        (
            lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b"\0" * 40),
            "cannot be loaded",
        ),
        (lambda folder: (folder / "open_clip_config.json").write_text("{"), "cannot be read"),
        (lambda folder: rename_tower(folder, "vit_so400m_patch14_siglip_384"), "ONNX"),
        (lambda folder: resize_input(folder, 64), "another shape"),
    ],
    ids=[
        "weights gone",
        "weights damaged",
        "no configuration",
        "another tower",
        "a lie about the input",
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(tmp_path, context, harm, sentence):
    tiny_open_clip(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"the repository's own layout")
    harm(tmp_path / "model")
    with pytest.raises(StageError, match=sentence):
        clip_encoder(tmp_path / "model").load(context)


def rename_tower(folder, name):
    change(folder, lambda vision: vision.update(timm_model_name=name))


def resize_input(folder, side):
    change(folder, lambda vision: vision.update(image_size=side))


def change(folder, edit):
    path = folder / "open_clip_config.json"
    configuration = json.loads(path.read_text())
    edit(configuration["model_cfg"]["vision_cfg"])
    path.write_text(json.dumps(configuration))


@pytest.mark.parametrize("name", ["marqo-ecommerce-b", "marqo-ecommerce-l"])
def test_a_pull_leaves_the_code_of_the_repository_where_it_is(name):
    assert MODEL_CARDS[name].files == ("open_clip_config.json", "open_clip_model.safetensors")
