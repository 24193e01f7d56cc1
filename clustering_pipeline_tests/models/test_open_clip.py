"""SigLIP towers in the layout of OpenCLIP, beside the library that the weights were made with."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models import holds_siglip
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
    pytest.importorskip("transformers")
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
    pytest.importorskip("transformers")
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


def native_open_clip(folder, **changes):
    """Save a model of OpenCLIP's own architecture; returns its tensors."""
    from clustering_pipeline_tests.models import published

    folder.mkdir()
    tokenizer, size = published.byte_pair_tokenizer()
    tensors = published.open_clip_tensors(16, 8, size)
    configuration = published.open_clip_configuration(16, 8, size, **changes)
    for name, content in tokenizer.items():
        (folder / name).write_bytes(content)
    (folder / "open_clip_model.safetensors").write_bytes(published.as_safetensors(tensors))
    (folder / "open_clip_config.json").write_text(json.dumps(configuration))
    return tensors


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_open_clips_own_towers_give_the_vectors_that_timm_reads_from_them(
    tmp_path, context, quick_gelu
):
    from timm.layers import QuickGELU
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    tensors = native_open_clip(tmp_path / "model", quick_gelu=quick_gelu)
    tower = VisionTransformer(
        img_size=SIDE,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        mlp_ratio=2,
        num_classes=12,
        pre_norm=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-5),
        act_layer=QuickGELU if quick_gelu else torch.nn.GELU,
    )
    ours_as_timm = checkpoint_filter_fn(
        {name: value for name, value in tensors.items() if name.startswith("visual.")}, tower
    )
    ours_as_timm["head.bias"] = torch.zeros(12)
    tower.load_state_dict(ours_as_timm)
    encoder = clip_encoder(tmp_path / "model")
    pictures = [
        np.random.default_rng(n).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for n in range(3)
    ]
    encoder.load(context)
    vectors = encoder.encode(encoder.preparation(context)(pictures))
    pixels = torch.from_numpy(encoder.preprocessing(context)(pictures))
    with torch.inference_mode():
        np.testing.assert_allclose(vectors, tower.eval()(pixels).numpy(), atol=1e-4)


def test_open_clips_own_text_tower_reads_as_its_formulas_say(tmp_path):
    from clustering_pipeline.models import TextTower

    state = native_open_clip(tmp_path / "model")
    tower = TextTower(tmp_path / "model", "cpu")
    read = tower._tokenizer(["box"])["input_ids"]
    with torch.inference_mode():
        expected = open_clip_text(state, torch.tensor(read))
    np.testing.assert_allclose(tower.encode(["box"]), expected.numpy(), atol=1e-5)


def open_clip_text(state, tokens):
    """OpenCLIP's text tower written out: causal attention, the vector of the last token."""
    functional = torch.nn.functional
    places = state["positional_embedding"][: tokens.shape[1]]
    x = state["token_embedding.weight"][tokens] + places
    mask = torch.full((tokens.shape[1],) * 2, float("-inf")).triu(1)

    def norm(name, value):
        return functional.layer_norm(value, (16,), state[f"{name}.weight"], state[f"{name}.bias"])

    def linear(name, value):
        return functional.linear(value, state[f"{name}.weight"], state[f"{name}.bias"])

    for number in range(2):
        block = f"transformer.resblocks.{number}"
        attention = torch.nn.MultiheadAttention(16, 2, batch_first=True)
        attention.load_state_dict(
            {
                name.removeprefix(f"{block}.attn."): value
                for name, value in state.items()
                if name.startswith(f"{block}.attn.")
            }
        )
        y = norm(f"{block}.ln_1", x)
        x = x + attention(y, y, y, need_weights=False, attn_mask=mask)[0]
        y = linear(f"{block}.mlp.c_fc", norm(f"{block}.ln_2", x))
        x = x + linear(f"{block}.mlp.c_proj", functional.gelu(y))
    return functional.normalize(norm("ln_final", x)[:, -1] @ state["text_projection"], dim=-1)


def test_an_architecture_that_is_not_built_here_is_refused(tmp_path, context):
    native_open_clip(tmp_path / "model")
    change(tmp_path / "model", lambda vision: vision.update(attentional_pool=True))
    with pytest.raises(StageError, match="attentional_pool"):
        clip_encoder(tmp_path / "model").load(context)


def test_shards_without_an_index_are_read_by_name(tmp_path, context):
    from clustering_pipeline_tests.models import published

    (tmp_path / "model").mkdir()
    for name, content in published.big_clip().items():
        if not name.startswith(("open_clip_", "pytorch_model")):
            (tmp_path / "model" / name).write_bytes(content)
    encoder = clip_encoder(tmp_path / "model")
    encoder.load(context)
    picture = np.zeros((40, 40, 3), np.uint8)
    assert encoder.encode(encoder.preparation(context)([picture])).shape == (1, 512)


def test_openais_own_file_is_refused_in_words(tmp_path, context):
    program = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    torch.jit.save(program, tmp_path / "ViT-B-32.pt")
    with pytest.raises(StageError, match=r"OpenAI's \.pt.*pull clip-vit-l-14"):
        clip_encoder(tmp_path / "ViT-B-32.pt").load(context)


@pytest.mark.parametrize(
    ("vision", "siglip"),
    [({"timm_model_name": "vit_base_patch16_siglip_224"}, True), ({"layers": 12}, False)],
)
def test_clip_and_siglip_are_told_apart(vision, siglip, tmp_path):
    configuration = {"model_cfg": {"vision_cfg": vision}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(configuration))
    assert holds_siglip(tmp_path) is siglip
