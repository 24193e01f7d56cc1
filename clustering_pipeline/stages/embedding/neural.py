"""What all neural image encoders share: finding weights, preprocessing, batches on a device."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.facts import Facts
from clustering_pipeline.core.hardware import resolve_device, resolve_precision
from clustering_pipeline.models import (
    BatchRunner,
    ImagePreprocessing,
    loading_problem,
    locate_model,
    model_digest,
    processor_kernels,
    processor_rows,
    read_preprocessing,
    remembered,
    torch_type,
)
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clustering_pipeline.models import Forward


# From inputs (RGB arrays, or pairs of local features and colour) to one row each.
Preparation = Callable[[Sequence[Any]], NDArray[Any]]


class NeuralEncoder(ABC):
    """An image tower of torch.

    A subclass names its default weights, builds its module and says what of its output is the
    vector.
    """

    reads: ClassVar[Literal["pixels", "views", "local_features"]] = "pixels"
    default_model: ClassVar[str]

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings
        self._runner: BatchRunner | None = None

    def place(self, context: StageContext) -> Path:
        """Return the folder or file of the weights; raises StageError when they are not on this
        machine.
        """
        return locate_model(
            self.settings.model or self.default_model, context.hardware, "embeddings.model"
        )

    def preprocessing(self, context: StageContext) -> ImagePreprocessing:
        """Return how a crop becomes the input: what the model's own folder says."""
        return read_preprocessing(self.place(context))

    @abstractmethod
    def build(self, place: Path) -> "nn.Module":
        """Return the module with the weights at `place`."""

    def pooled(self, module: "nn.Module", pixels: "torch.Tensor") -> "torch.Tensor":
        """Return the (n, dimension) vectors of normalised pixels (n, 3, height, width)."""
        vectors: torch.Tensor = module(pixels)
        return vectors

    def identity(self, context: StageContext) -> str:
        """Return the encoder's name, the digest of its weights and that of the preprocessing."""
        return (
            f"{type(self).__name__} {model_digest(self.place(context))} "
            f"{self.preprocessing(context).digest()}"
        )

    def facts(self, context: StageContext) -> Facts:
        """Return the model, its input and what it runs on."""
        preprocessing = self.preprocessing(context)
        height, width = preprocessing.input_size
        device = resolve_device(context.hardware)
        return {
            "model": self.settings.model or self.default_model,
            "input_size": f"{height} x {width}",
            "normalisation": f"mean {preprocessing.mean}, std {preprocessing.std}",
            "device": device,
            "precision": resolve_precision(context.hardware, device),
        }

    def preparation(self, context: StageContext) -> Preparation:
        """Return the resize and crop of a picture; it is normalised on the device."""
        return self.preprocessing(context).fit

    def load(self, context: StageContext) -> None:
        """Put the model on the device; raises StageError with the remedy."""
        _require_torch(type(self).__name__)
        device = resolve_device(context.hardware)
        precision = resolve_precision(context.hardware, device)
        place = self.place(context)
        module = self._built(place).eval().to(device, torch_type(precision))
        forward = _forward(self, module, self.preprocessing(context), precision)
        rows = (
            self._processor_rows(forward, context) if device == "cpu" else self.settings.batch_size
        )
        self._runner = BatchRunner(forward, device, rows)

    def encode(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared picture."""
        if self._runner is None:
            raise RuntimeError("encode() before load()")
        return self._runner(prepared)

    def _processor_rows(self, forward: "Forward", context: StageContext) -> int:
        """Return how many rows keep their bits on this processor; tried once per model and
        remembered beside it.
        """
        place, size = self.place(context), self.preprocessing(context).input_size
        entry = (
            f"rows at once: {self.identity(context)} {resolve_precision(context.hardware, 'cpu')} "
            f"{processor_kernels()}"
        )
        tried = remembered(
            place if place.is_dir() else place.parent,
            entry,
            lambda: str(processor_rows(forward, (3, *size))),
        )
        return int(tried) if tried.isdecimal() else 1

    def _built(self, place: Path) -> "nn.Module":
        try:
            return self.build(place)
        except StageError:
            raise
        except Exception as error:
            raise StageError(
                f"The encoder {self.settings.encoder!r} could not load {place}: "
                f"{loading_problem(error)}. Check the files with `clustering-pipeline models "
                "check`, or set embeddings.encoder to the kind that they are of."
            ) from error


def _forward(
    encoder: NeuralEncoder, module: "nn.Module", preprocessing: ImagePreprocessing, precision: str
) -> "Forward":
    import torch

    scale, shift = (
        torch.from_numpy(values)[:, None, None] for values in preprocessing.normalisation()
    )

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        normalised = (pixels.float() * scale.to(pixels.device) + shift.to(pixels.device)).to(
            torch_type(precision)
        )
        vectors = encoder.pooled(module, normalised)
        if encoder.settings.flip:
            vectors = vectors + encoder.pooled(module, normalised.flip(-1))
        return vectors

    return forward


def _require_torch(name: str) -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise StageError(
            f"{name} needs torch, which is not installed: `uv sync --extra models`, or set "
            f"embeddings.encoder to local."
        ) from error
