"""ResNet-50 with instance-batch norms as the published training codes of re-identification save
it.
"""

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.storage import BlobStore, FeatureTables

torch = pytest.importorskip("torch")

SMALL = {"input_size": (64, 32)}
PICTURE = np.random.default_rng(1).integers(0, 256, (90, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone():
    from clustering_pipeline.stages.embedding.towers import resnet50_ibn

    torch.manual_seed(0)
    return resnet50_ibn().eval()


@pytest.fixture(scope="module")
def neck():
    torch.manual_seed(1)
    norm = torch.nn.BatchNorm1d(2048).eval()
    norm.running_mean.uniform_(0, 0.1)
    norm.running_var.uniform_(0.5, 2)
    return norm


@pytest.fixture
def encode(tmp_path):
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    context = StageContext(*storage, tmp_path, hardware=Hardware(device="cpu"))

    def encode(checkpoint, **settings):
        torch.save(checkpoint, tmp_path / "model.pth")
        model = str(tmp_path / "model.pth")
        encoder = open_encoder(
            EmbeddingSettings(encoder="resnet50-ibn", model=model, **SMALL, **settings)
        )
        encoder.load(context)
        return encoder.encode(encoder.preparation(context)([PICTURE]))[0]

    return encode


def named(prefix, module):
    return {f"{prefix}{name}": value for name, value in module.state_dict().items()}


def fastreid(backbone, neck):
    heads = named("heads.bottleneck.0.", neck) | {
        "heads.weight": torch.zeros(5, 2048),
        "heads.pool_layer.p": torch.tensor([2.5]),
    }
    model = named("backbone.", backbone) | heads | {"pixel_mean": torch.zeros(1, 3, 1, 1)}
    return {"model": model, "optimizer": {"state": {}, "param_groups": []}, "iteration": 7}


def strong_baseline(backbone, neck):
    classifier = {"classifier.weight": torch.zeros(5, 2048)}
    return named("base.", backbone) | named("bottleneck.", neck) | classifier


def data_parallel(backbone, neck):
    return {"state_dict": named("module.", backbone)}


@pytest.mark.parametrize("layout", [fastreid, strong_baseline, data_parallel])
def test_every_layout_gives_the_vectors_of_its_backbone(layout, backbone, neck, encode):
    plain = encode(backbone.state_dict())
    np.testing.assert_array_equal(encode(layout(backbone, neck)), plain)


def stages(backbone, stride):
    """The last stage's features of the picture, the last stage with a stride of its own."""
    first = backbone.layer4[0]
    kept = first.conv2.stride, first.downsample[0].stride
    first.conv2.stride = first.downsample[0].stride = (stride, stride)
    pixels = open_encoder(
        EmbeddingSettings(encoder="resnet50-ibn", model="unused", **SMALL)
    ).preprocessing(None)([PICTURE])
    with torch.inference_mode():
        x = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(torch.from_numpy(pixels)))))
        for layer in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4):
            x = layer(x)
    first.conv2.stride, first.downsample[0].stride = kept
    return x


def test_stride_pooling_and_neck_are_those_of_the_settings(backbone, neck, encode):
    ours = encode(fastreid(backbone, neck), last_stride=1, pooling="gem", neck=True)
    features = stages(backbone, 1)
    assert features.shape[2:] == (4, 2)
    pooled = features.clamp(min=1e-6).pow(2.5).mean((2, 3)).pow(1 / 2.5)
    with torch.inference_mode():
        np.testing.assert_allclose(ours, neck(pooled)[0].numpy(), rtol=1e-4, atol=1e-4)


def test_the_power_of_the_mean_is_three_where_the_weights_name_none(backbone, neck, encode):
    ours = encode(strong_baseline(backbone, neck), pooling="gem")
    pooled = stages(backbone, 2).clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
    np.testing.assert_allclose(ours, pooled[0].numpy(), rtol=1e-4, atol=1e-4)


def test_weights_without_a_neck_say_so(backbone, encode):
    with pytest.raises(StageError, match=r"embeddings\.neck"):
        encode(backbone.state_dict(), neck=True)


def test_another_network_is_refused_in_words(encode):
    with pytest.raises(StageError, match=r"no conv1\.weight"):
        encode({"features.0.weight": torch.zeros(3)})


def test_defaults_leave_fingerprints_as_they_were():
    plain = EmbeddingSettings(encoder="resnet50-ibn", model="m.pth")
    stated = EmbeddingSettings(
        encoder="resnet50-ibn", model="m.pth", last_stride=2, pooling="mean", input_size=(256, 256)
    )
    assert plain.fingerprint() == stated.fingerprint()
    for change in ({"last_stride": 1}, {"pooling": "gem"}, {"neck": True}, SMALL):
        assert plain.model_copy(update=change).fingerprint() != plain.fingerprint()
