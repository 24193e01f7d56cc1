"""Weights that only slow a processor down."""

import numpy as np
import pytest

from clustering_pipeline.models import without_subnormals

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper = pytest.importorskip("onnx.helper")
numpy_helper = pytest.importorskip("onnx.numpy_helper")


def model_of(weights):
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "weights"], ["sums"])],
        "sums",
        [helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, [None, weights.shape[1]])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1, 0, 2], np.int64), "places"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_tiny_weights_are_zero_and_every_other_one_stays():
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(32, 4)).astype(np.float32)
    weights[::3] = np.float32(1e-40)
    weights[1, 0] = np.float32(-1e-20)
    cleaned = onnx.load_model_from_string(without_subnormals(model_of(weights)))
    kept, places = (numpy_helper.to_array(one) for one in cleaned.graph.initializer)
    np.testing.assert_array_equal(kept, np.where(np.abs(weights) < 1e-30, 0, weights))
    assert places.tolist() == [1, 0, 2]


def test_the_sums_stay_as_they_were():
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(64, 8)).astype(np.float32)
    weights[::2] *= np.float32(1e-40)
    rows = rng.normal(size=(5, 64)).astype(np.float32)
    sums = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            None, {"rows": rows}
        )[0]
        for model in (model_of(weights), without_subnormals(model_of(weights)))
    ]
    np.testing.assert_array_equal(*sums)
