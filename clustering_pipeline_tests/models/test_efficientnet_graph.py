"""The ONNX graph against timm's EfficientNet-Lite, with random weights and, where their package is
installed, the trained ones.
"""

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.checkpoints import read_tensors
from clustering_pipeline.models.efficientnet_graph import (
    GRAPH_INPUT,
    VECTOR_LENGTH,
    classifier_directions,
    efficientnet_lite_graph,
)
from clustering_pipeline.stages.embedding.onnx import DIGESTS, open_graph, packaged_weights

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def timm_model(variant):
    torch.manual_seed(0)
    model = timm.create_model(f"tf_efficientnet_{variant}", pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model


def packaged_names(model):
    """The names that the packages give to timm's tensors, which lie in the same order."""
    names = ["_conv_stem", "_bn0"]
    for number, block in enumerate(block for stage in model.blocks for block in stage):
        if hasattr(block, "conv_pwl"):
            names += [f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"]
        names += [
            f"_blocks.{number}.{part}"
            for part in ("_depthwise_conv", "_bn1", "_project_conv", "_bn2")
        ]
    names += ["_conv_head", "_bn1", "_fc"]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict()))
    assert len(names) == len(modules)
    return dict(zip(modules, names, strict=True))


def renamed(model):
    names = packaged_names(model)
    state = {}
    for name, value in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        state[f"{names[module]}.{kind}"] = value.numpy()
    return state


def expected(model, tensors, pixels, power=3):
    with torch.inference_mode():
        features = model.forward_features((torch.from_numpy(pixels).float() - 127) / 128)
    pooled = features.clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power).numpy()
    return pooled @ classifier_directions(tensors["_fc.weight"], VECTOR_LENGTH)


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def vectors(graph, pixels):
    return open_graph(graph, 1).run(None, {GRAPH_INPUT: pixels})[0]


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
@pytest.mark.parametrize("size", [(96, 96), (97, 64)])
def test_random_weights_give_the_vectors_of_timm(variant, size):
    model = timm_model(variant)
    tensors, pixels = renamed(model), noise(2, 3, *size)
    np.testing.assert_allclose(
        vectors(efficientnet_lite_graph(tensors), pixels),
        expected(model, tensors, pixels),
        atol=1e-4,
    )


@pytest.mark.parametrize("variant", DIGESTS)
def test_trained_weights_give_the_vectors_of_timm(variant):
    try:
        tensors = read_tensors(packaged_weights(variant))
    except StageError:
        pytest.skip(f"the weights of {variant} are not installed")
    model = timm_model(variant)
    names = packaged_names(model)
    state = {}
    for name in model.state_dict():
        module, _, kind = name.rpartition(".")
        state[name] = torch.from_numpy(np.asarray(tensors[f"{names[module]}.{kind}"]))
    model.load_state_dict(state)
    pixels = noise(2, 3, 160, 160)
    np.testing.assert_allclose(
        vectors(efficientnet_lite_graph(tensors), pixels),
        expected(model, tensors, pixels),
        atol=1e-4,
    )


def test_a_row_has_the_same_bits_alone_in_a_batch_and_on_more_threads():
    graph = efficientnet_lite_graph(renamed(timm_model("lite0")))
    pixels = noise(5, 3, 128, 128)
    together = vectors(graph, pixels)
    for threads in (1, 2):
        session = open_graph(graph, threads)
        alone = np.concatenate([session.run(None, {GRAPH_INPUT: row[None]})[0] for row in pixels])
        np.testing.assert_array_equal(alone, together)


def test_equal_tensors_give_equal_bytes():
    tensors = renamed(timm_model("lite0"))
    assert efficientnet_lite_graph(tensors) == efficientnet_lite_graph(
        dict(reversed(tensors.items()))
    )


def test_weights_of_another_model_are_named():
    tensors = renamed(timm_model("lite0"))
    del tensors["_blocks.3._bn1.weight"]
    with pytest.raises(StageError, match=r"the tensor '_blocks\.3\._bn1\.weight' is missing"):
        efficientnet_lite_graph(tensors)
    fewer = {name: value for name, value in tensors.items() if not name.startswith("_blocks.15")}
    with pytest.raises(StageError, match="these have 15"):
        efficientnet_lite_graph(fewer)


def test_the_directions_are_those_of_the_singular_value_decomposition():
    weight = np.random.default_rng(0).normal(size=(40, 24)) * np.linspace(1, 5, 24)
    ours = classifier_directions(weight, 6)
    theirs = np.linalg.svd(weight, full_matrices=False)[2][:6].T
    np.testing.assert_allclose(np.abs((ours * theirs).sum(axis=0)), 1, atol=1e-3)
    assert (np.take_along_axis(ours, np.abs(ours).argmax(axis=0)[None], axis=0) > 0).all()
