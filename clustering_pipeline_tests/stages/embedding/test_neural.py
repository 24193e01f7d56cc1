"""Every neural encoder on a tiny model that is built from its configuration and saved in the real
format.
"""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.manifests import CLEAN_IMAGES, LOCAL_FEATURES, conform, empty
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages import embedding
from clustering_pipeline.stages.embedding import (
    ENCODERS,
    ClipEncoder,
    open_encoder,
    read_reduction,
)
from clustering_pipeline_tests.stages.cache import asked

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIDE = 32


def tiny_transformer(kind, folder):
    """Save a tiny model of `kind` in the format of its hub repository."""
    layers = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    shape = {**layers, "image_size": SIDE, "patch_size": 8}
    two_towers = {"text_config": {**layers, "vocab_size": 99}, "vision_config": shape}
    torch.manual_seed(0)
    if kind == "clip":
        model = transformers.CLIPModel(transformers.CLIPConfig(**two_towers, projection_dim=12))
        processor = transformers.CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        )
    elif kind == "siglip":
        model = transformers.SiglipModel(transformers.SiglipConfig(**two_towers))
        processor = transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    elif kind == "resnet50":
        configuration = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="bottleneck"
        )
        model = transformers.ResNetForImageClassification(configuration)
        processor = transformers.ConvNextImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_pct=0.875
        )
    else:
        configuration, built = {
            "vit": (transformers.ViTConfig, transformers.ViTForImageClassification),
            "dinov2": (transformers.Dinov2Config, transformers.Dinov2Model),
            "dinov3": (transformers.DINOv3ViTConfig, transformers.DINOv3ViTModel),
        }[kind]
        model = built(configuration(**shape))
        processor = transformers.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE})
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def reference(kind, model, pixels):
    """The vector as the library's own classes give it."""
    with torch.inference_mode():
        if kind == "clip":
            return model.visual_projection(model.vision_model(pixels).pooler_output)
        if kind == "siglip":
            return model.vision_model(pixels).pooler_output
        if kind == "vit":
            return model.vit(pixels).last_hidden_state[:, 0]
        if kind == "resnet50":
            return model.resnet(pixels).pooler_output.flatten(1)
        return model(pixels).pooler_output


TRANSFORMERS = ["clip", "siglip", "vit", "dinov2", "dinov3", "resnet50"]


def pictures(count=5):
    random = np.random.default_rng(3)
    return [
        random.integers(0, 256, (40 + 3 * n, 70 - 5 * n, 3), dtype=np.uint8) for n in range(count)
    ]


def encode(encoder, context, crops):
    encoder.load(context)
    return encoder.encode(encoder.preparation(context)(crops))


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_vectors_are_those_of_the_library(kind, tmp_path, context):
    model, processor = tiny_transformer(kind, tmp_path / "model")
    name = "clip" if kind == "siglip" else kind
    encoder = open_encoder(
        EmbeddingSettings(encoder=name, model=str(tmp_path / "model"), batch_size=4, fit="model")
    )
    ours = encode(encoder, context, pictures())
    expected = torch.cat(
        [
            reference(kind, model, processor(picture, return_tensors="pt")["pixel_values"])
            for picture in pictures()
        ]
    )
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_row_has_the_same_bits_whatever_its_batch(kind, tmp_path, context):
    tiny_transformer(kind, tmp_path / "model")
    name, crops = "clip" if kind == "siglip" else kind, pictures(11)
    encoders = [
        open_encoder(
            EmbeddingSettings(encoder=name, model=str(tmp_path / "model"), batch_size=size)
        )
        for size in (1, 4, 64)
    ]
    first, *others = (encode(encoder, context, crops) for encoder in encoders)
    for other in others:
        np.testing.assert_array_equal(first, other)
    np.testing.assert_array_equal(first[::-1], encode(encoders[0], context, crops[::-1]))
    np.testing.assert_array_equal(first[7:8], encode(encoders[0], context, crops[7:8]))


def test_a_model_of_another_kind_is_named(tmp_path, context):
    tiny_transformer("vit", tmp_path / "model")
    encoder = open_encoder(EmbeddingSettings(encoder="clip", model=str(tmp_path / "model")))
    with pytest.raises(StageError, match=r"'vit' model.*embeddings\.encoder"):
        encoder.load(context)


@pytest.mark.parametrize(
    "kind", [name for name in ENCODERS if name not in ("local", "onnx", "efficientnet")]
)
def test_missing_weights_fail_with_the_remedy(kind, context):
    encoder = open_encoder(EmbeddingSettings(encoder=kind))
    with pytest.raises(StageError, match=r"embeddings\.model"):
        encoder.load(context)


def test_damaged_weights_fail_with_a_sentence(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"not tensors")
    encoder = open_encoder(EmbeddingSettings(encoder="clip", model=str(tmp_path / "model")))
    with pytest.raises(StageError, match="could not load"):
        encoder.load(context)


def test_weights_with_holes_are_refused_rather_than_filled_with_random_numbers(tmp_path, context):
    from safetensors.torch import load_file, save_file

    tiny_transformer("clip", tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    del tensors["visual_projection.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    encoder = open_encoder(EmbeddingSettings(encoder="clip", model=str(tmp_path / "model")))
    with pytest.raises(StageError, match=r"visual_projection\.weight"):
        encoder.load(context)


def test_the_identity_follows_weights_and_preprocessing(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    encoder = open_encoder(EmbeddingSettings(encoder="clip", model=str(tmp_path / "model")))
    first = encoder.identity(context)
    path = tmp_path / "model" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_mean": [0.4, 0.4, 0.4]}))
    assert encoder.identity(context) != first


def test_vectors_of_different_formats_and_fits_never_mix(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    identities = {
        open_encoder(
            EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"), fit=fit)
        ).identity(replace(context, hardware=Hardware("cpu", precision)))
        for fit in ("pad", "squash", "model")
        for precision in ("fp32", "bf16", "fp16")
    }
    assert len(identities) == 9


def test_a_short_format_gives_nearly_the_same_vectors(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    settings = EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"))
    exact, short = (
        encode(
            open_encoder(settings),
            replace(context, hardware=Hardware("cpu", precision)),
            pictures(),
        )
        for precision in ("fp32", "bf16")
    )
    cosines = (exact * short).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(short, axis=1)
    assert (cosines > 0.999).all()


@pytest.mark.parametrize(
    ("kind", "half"), [("clip", "fp16"), ("siglip", "bf16"), ("dinov2", "bf16")]
)
def test_each_model_says_which_short_format_it_is_safe_in(kind, half, tmp_path):
    tiny_transformer(kind, tmp_path / "model")
    name = "clip" if kind == "siglip" else kind
    encoder = open_encoder(EmbeddingSettings(encoder=name, model=str(tmp_path / "model")))
    assert encoder.half(tmp_path / "model") == half


def test_the_memory_of_a_model_is_given_back_after_its_stage(tmp_path, context, monkeypatch):
    tiny_transformer("clip", tmp_path / "model")
    opened = []

    def remember(settings):
        opened.append(ClipEncoder(settings))
        return opened[-1]

    monkeypatch.setitem(ENCODERS, "clip", remember)
    settings = EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"))
    result = embedding.run(
        clean_images=kept_crops(context, [encoded_picture(1)]),
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )
    assert len(result.manifest) == 1
    assert opened[0].runner is None


class SlowDevice(ClipEncoder):
    """Says that it works on its own, in batches of five, and notes how many are under way."""

    rows, ahead = 5, 2
    under_way, most = 0, 0

    def begin(self, prepared):
        assert len(prepared) <= self.rows
        SlowDevice.under_way += 1
        SlowDevice.most = max(SlowDevice.most, SlowDevice.under_way)
        pending = super().begin(prepared)

        def wait():
            SlowDevice.under_way -= 1
            return pending()

        return wait


def test_batches_that_are_under_way_keep_their_vectors(tmp_path, context, monkeypatch):
    tiny_transformer("clip", tmp_path / "model")
    contents = [encoded_picture(seed) for seed in range(23)]
    clean = kept_crops(context, [*contents, b"no picture"])
    settings = EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"), batch_size=3)
    frames = {"local_features": empty(LOCAL_FEATURES), "settings": settings}
    expected = embedding.run(clean_images=clean, context=context, **frames).manifest
    monkeypatch.setitem(ENCODERS, "clip", SlowDevice)
    found = embedding.run(clean_images=clean, context=context, **frames)
    assert found.facts["failed"] == 1
    assert SlowDevice.most == 3
    pd.testing.assert_frame_equal(found.manifest, expected)


def same_number(shapes):
    """Tensors of full shapes that share one number each, which the format keeps small."""
    return {
        name: torch.full((1,) * value.ndim, 0.01).expand(value.shape)
        for name, value in shapes.items()
    }


def vectors_of(kind, path, context):
    settings = EmbeddingSettings(encoder=kind, model=str(path), batch_size=2)
    return encode(open_encoder(settings), context, pictures(2))


@pytest.mark.slow
def test_vgg16_loads_a_plain_state_dictionary(tmp_path, context):
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = vgg16(weights=None).state_dict()
    torch.save(same_number(shapes), tmp_path / "vgg16.pth")
    assert vectors_of("vgg16", tmp_path / "vgg16.pth", context).shape == (2, 4096)


def test_resnet50_ibn_loads_a_checkpoint_of_training(tmp_path, context):
    from clustering_pipeline.stages.embedding.towers import resnet50_ibn

    with torch.device("meta"):
        shapes = resnet50_ibn().state_dict()
    checkpoint = {f"module.{name}": value for name, value in same_number(shapes).items()}
    torch.save(
        {"state_dict": {**checkpoint, "module.classifier.weight": torch.zeros(10, 2048)}},
        tmp_path / "ibn.pth",
    )
    assert vectors_of("resnet50-ibn", tmp_path / "ibn.pth", context).shape == (2, 2048)


def test_flip_averages_a_crop_with_its_mirror_image(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    encoder = open_encoder(
        EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"), flip=True)
    )
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    first, mirrored = encode(encoder, context, [picture, picture[:, ::-1].copy()])
    np.testing.assert_allclose(first, mirrored, atol=1e-5)


def kept_crops(context, crops):
    """A CLEAN_IMAGES manifest of whole pictures; one whose bytes are no picture stays in it."""
    rows = []
    for content in crops:
        digest = context.blobs.put(content)
        size = {"x0": 0, "y0": 0, "x1": 48, "y1": 48}
        rows.append(
            {
                **dict.fromkeys(CLEAN_IMAGES.schema.names),
                "crop_sha256": digest,
                "image_sha256": digest,
                "status": "kept",
                **size,
            }
        )
    return conform(pd.DataFrame(rows, columns=CLEAN_IMAGES.schema.names), CLEAN_IMAGES)


def encoded_picture(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def test_a_bad_picture_loses_its_own_row_only(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    clean = kept_crops(context, [encoded_picture(1), b"no picture", encoded_picture(2)])
    settings = EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"), batch_size=2)
    result = embedding.run(
        clean_images=clean, local_features=empty(LOCAL_FEATURES), settings=settings, context=context
    )
    assert set(result.manifest["crop_sha256"]) == {
        hashlib.sha256(encoded_picture(seed)).hexdigest() for seed in (1, 2)
    }
    assert result.facts["failed"] == 1
    np.testing.assert_allclose(
        [np.linalg.norm(vector) for vector in result.manifest["vector"]], 1, atol=1e-6
    )


def test_what_was_embedded_is_not_embedded_again(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    settings = EmbeddingSettings(encoder="clip", model=str(tmp_path / "model"), batch_size=1)
    embedding.run(
        clean_images=kept_crops(context, map(encoded_picture, range(3))),
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )
    assert asked(context) == (0, 3)
    embedding.run(
        clean_images=kept_crops(context, map(encoded_picture, range(5))),
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )
    assert asked(context) == (3, 2)


@pytest.mark.parametrize("whiten", [False, True])
def test_reduced_vectors_are_unit_length(tmp_path, context, whiten):
    tiny_transformer("clip", tmp_path / "model")
    settings = EmbeddingSettings(
        encoder="clip",
        model=str(tmp_path / "model"),
        reduce="pca",
        reduced_dimension=3,
        whiten=whiten,
    )
    result = embedding.run(
        clean_images=kept_crops(context, map(encoded_picture, range(6))),
        local_features=empty(LOCAL_FEATURES),
        settings=settings,
        context=context,
    )
    vectors = np.stack(result.manifest["vector"].to_list())
    assert vectors.shape == (6, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    whole = embedding.run(
        clean_images=kept_crops(context, map(encoded_picture, range(6))),
        local_features=empty(LOCAL_FEATURES),
        settings=settings.model_copy(update={"reduce": "none"}),
        context=context,
    )
    reduction = read_reduction(settings, context)
    again = reduction(np.stack(whole.manifest["vector"].to_list()))
    np.testing.assert_allclose(again, vectors, atol=1e-4)


def test_lda_separates_the_labelled_groups(tmp_path, context):
    tiny_transformer("clip", tmp_path / "model")
    clean = kept_crops(context, map(encoded_picture, range(8)))
    labels = clean[["image_sha256"]].assign(group=["a", "b"] * 4)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    settings = EmbeddingSettings(
        encoder="clip",
        model=str(tmp_path / "model"),
        reduce="lda",
        reduce_labels=str(tmp_path / "labels.csv"),
    )
    result = embedding.run(
        clean_images=clean, local_features=empty(LOCAL_FEATURES), settings=settings, context=context
    )
    whole = embedding.run(
        clean_images=clean,
        local_features=empty(LOCAL_FEATURES),
        settings=settings.model_copy(update={"reduce": "none"}),
        context=context,
    )
    again = read_reduction(settings, context)(np.stack(whole.manifest["vector"].to_list()))
    np.testing.assert_allclose(again, np.stack(result.manifest["vector"].to_list()), atol=1e-4)
    signs = np.sign([vector[0] for vector in result.manifest["vector"]])
    assert set(signs[::2]) != set(signs[1::2])


def save_tower(path, weights, **how) -> str:
    """Save a tower that multiplies the mean of a picture's pixels by `weights`, and return its
    path.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, **how)
    return str(path)


def test_weights_beside_an_onnx_model_are_part_of_its_identity(tmp_path, context):
    weights = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    beside = {"save_as_external_data": True, "location": "tower.data", "size_threshold": 0}
    path = save_tower(tmp_path / "tower.onnx", weights, **beside)
    settings = EmbeddingSettings(encoder="onnx", model=path)
    before = open_encoder(settings).identity(context)
    assert open_encoder(settings).identity(context) == before
    data = tmp_path / "tower.data"
    data.write_bytes(data.read_bytes()[::-1])
    assert open_encoder(settings).identity(context) != before
    data.unlink()
    with pytest.raises(StageError, match=r"tower\.onnx keeps weights in tower\.data"):
        open_encoder(settings).identity(context)


def test_an_onnx_export_gives_the_vectors_of_its_module(tmp_path, context):
    weights = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    path = save_tower(tmp_path / "tower.onnx", weights)
    encoder = open_encoder(EmbeddingSettings(encoder="onnx", model=path))
    prepared = encoder.preparation(context)(pictures())
    encoder.load(context)
    vectors = encoder.encode(prepared)
    np.testing.assert_allclose(vectors, prepared.mean(axis=(2, 3)) @ weights, atol=1e-5)
    np.testing.assert_array_equal(vectors[::-1], encoder.encode(prepared[::-1]))
