"""Any image tower that was exported to ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.facts import Facts
from clustering_pipeline.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImagePreprocessing,
    locate_model,
    onnx_digest,
    read_preprocessing,
    weight_files,
)
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.eager import EagerEncoder, Preparation

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

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
