"""What all neural image encoders share: finding weights, preprocessing, batches on a device."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import (
    Half,
    Precision,
    idle_card,
    resolve_device,
    resolve_devices,
    resolve_precision,
)
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.models import (
    BatchRunner,
    ImagePreprocessing,
    ParallelRunner,
    Pending,
    free_memory,
    load_on,
    loading_problem,
    locate_model,
    memory_rows,
    model_digest,
    processor_kernels,
    processor_rows,
    read_preprocessing,
    remembered,
    torch_type,
)
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.local import Preparation

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clustering_pipeline.models import Forward


# Pillow's number of the filter.
BILINEAR = 2


class NeuralEncoder(ABC):
    """An image tower of torch.

    A subclass names its default weights, builds its module and says what of its output is the
    vector.
    """

    reads: ClassVar[Literal["pixels", "views", "local_features"]] = "pixels"
    default_model: ClassVar[str]
    # Convolutions of a GPU are fastest with the channels last.
    convolutional: ClassVar[bool] = False

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings
        # None until `load`.
        self.runner: ParallelRunner | None = None

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

    def half(self, _place: Path) -> Half:
        """Return the short number format that the weights at `place` are safe in."""
        return "bf16"

    def fitted(self, context: StageContext) -> ImagePreprocessing:
        """Return the model's preprocessing with the fit that the settings ask for."""
        return self.preprocessing(context).with_fit(self.settings.fit)

    def precision(self, context: StageContext) -> Precision:
        """Return the number format of the run: "bf16", "fp16" or "fp32"."""
        _require_torch(type(self).__name__)
        device = resolve_device(context.hardware)
        return resolve_precision(context.hardware, device, self.half(self.place(context)))

    def identity(self, context: StageContext) -> str:
        """Return the encoder's name, the digest of its weights and that of the preprocessing."""
        return (
            f"{type(self).__name__} {model_digest(self.place(context))} "
            f"{self.fitted(context).digest()} {self.precision(context)}"
        )

    def facts(self, context: StageContext) -> Facts:
        """Return the model, its input and what it runs on."""
        preprocessing = self.fitted(context)
        height, width = preprocessing.input_size
        idle = idle_card(context.hardware)
        return {
            "model": self.settings.model or self.default_model,
            "input_size": f"{height} x {width}",
            "fit": preprocessing.fitting,
            "normalisation": f"mean {preprocessing.mean}, std {preprocessing.std}",
            "device": ", ".join(resolve_devices(context.hardware)),
            "precision": self.precision(context),
            **({"unused_gpu": idle} if idle else {}),
        }

    def preparation(self, context: StageContext) -> Preparation:
        """Return the resize and crop of a picture; it is normalised on the device."""
        return self.fitted(context).fit

    def load(self, context: StageContext) -> None:
        """Put the model on the device; raises StageError with the remedy."""
        _require_torch(type(self).__name__)
        self.runner = ParallelRunner(
            [self._runner_on(device, context) for device in resolve_devices(context.hardware)]
        )

    def release(self) -> None:
        """Give the memory of the weights back."""
        if self.runner is not None:
            self.runner = None
            free_memory()

    @property
    def rows(self) -> int | None:
        """Rows that keep a GPU busy; None on devices that are done with a batch at once."""
        return self.runner.batch_size if self.runner and self.ahead else None

    @property
    def ahead(self) -> int:
        """One batch for each GPU."""
        return self.runner.ahead if self.runner else 0

    def begin(self, prepared: Sequence[NDArray[Any]]) -> Pending:
        """Start on prepared pictures and return what waits for their vectors."""
        if self.runner is None:
            raise RuntimeError("begin() before load()")
        return self.runner.begin(prepared)

    def encode(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared picture."""
        return self.begin(list(prepared))()

    def _runner_on(self, device: str, context: StageContext) -> BatchRunner:
        import torch

        place, precision = self.place(context), self.precision(context)
        module: Any = load_on(
            device,
            lambda: self._built(place).eval().to(device, torch_type(precision)),
            "embeddings.model",
        )
        on_cuda = device.startswith("cuda")
        if on_cuda and self.convolutional:
            module = module.to(memory_format=torch.channels_last)
        if on_cuda and context.hardware.compiles:
            module = torch.compile(module, dynamic=False)
        preprocessing = self.fitted(context)
        forward = _forward(self, module, preprocessing, precision, device)
        shape = (3, *preprocessing.input_size)
        if device == "cpu":
            rows = self._processor_rows(forward, context)
        elif on_cuda:
            rows = self.settings.device_batch or memory_rows(forward, device, shape)
        else:
            rows = self.settings.device_batch or self.settings.batch_size
        return BatchRunner(forward, device, rows)

    def _processor_rows(self, forward: "Forward", context: StageContext) -> int:
        """Return how many rows keep their bits on this processor; tried once per model and
        remembered beside it.
        """
        place, size = self.place(context), self.fitted(context).input_size
        entry = f"rows at once: {self.identity(context)} {processor_kernels()}"
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
    encoder: NeuralEncoder,
    module: "nn.Module",
    preprocessing: ImagePreprocessing,
    precision: str,
    device: str,
) -> "Forward":
    import torch

    scale, shift = (
        torch.from_numpy(values)[:, None, None].to(device)
        for values in preprocessing.normalisation()
    )
    kind = torch_type(precision)
    layout = (
        torch.channels_last
        if encoder.convolutional and device.startswith("cuda")
        else torch.contiguous_format
    )

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        normalised = (pixels.float() * scale + shift).to(kind, memory_format=layout)
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
