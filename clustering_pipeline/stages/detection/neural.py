"""What the detectors with trained weights share: finding the weights, their identity, and batches
of pictures.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import (
    Half,
    Precision,
    idle_card,
    resolve_device,
    resolve_precision,
)
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import (
    FULL_MEMORY,
    free_memory,
    is_out_of_memory,
    load_on,
    load_pretrained,
    loading_problem,
    locate_model,
    model_digest,
    quiet_transformers,
    within_memory,
)
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.selection import Detections
from clustering_pipeline.stages.prompts import Prompt


def open_pretrained(place: Path, model_class: str, name: str, device: str) -> tuple[Any, Any]:
    """Return the processor and the model at `place`, the model on `device`; nothing is fetched and
    no code of the folder runs.

    Raises StageError for weights with holes, which the library would fill with random numbers.
    """
    processor: Any = quiet_transformers().AutoProcessor.from_pretrained(
        place, local_files_only=True, trust_remote_code=False
    )
    model, report = load_pretrained(model_class, place)
    if report["missing_keys"] or report["mismatched_keys"]:
        raise StageError(f"The weights in {place} are not a complete {name} model. Pull it again.")
    return processor, model.eval().to(device)


class NeuralDetector(ABC):
    """A detector of torch.

    A subclass opens its model and detects in pictures of one shape, so that no result depends on a
    batch's padding. A processor is given one at a time, because the number beside it changes the
    last bits.
    """

    name: str
    default_model: ClassVar[str]
    default_score: float
    uses_prompts = True
    runs_in_workers = False
    # The short number format in which the boxes stay within a pixel.
    half: ClassVar[Half] = "fp16"

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings
        # Pictures of one shape that go in together.
        self.rows = 1
        self._device, self._precision = "cpu", "fp32"
        # What `open` loads.
        self._model: Any = None

    def place(self, context: StageContext) -> Path:
        """Return the folder or file of the weights; raises StageError when they are not on this
        machine.
        """
        return locate_model(
            self.settings.model or self.default_model, context.hardware, "crops.model"
        )

    def identity(self, context: StageContext) -> str:
        """Return the detector's name, the digest of its weights, and the number format where it is
        a short one.
        """
        precision = self.precision(context)
        short = "" if precision == "fp32" else f" {precision}"
        return f"{self.name} {model_digest(self.place(context))}{short}"

    def precision(self, context: StageContext) -> Precision:
        """Return the number format of the run: "bf16", "fp16" or "fp32"."""
        try:
            device = resolve_device(context.hardware)
            return resolve_precision(context.hardware, device, self.half)
        except ImportError as error:
            raise self._lacks(error) from error

    def facts(self, context: StageContext) -> Facts:
        """Return device and precision, and why a GPU is not used."""
        idle = idle_card(context.hardware)
        return {
            "device": resolve_device(context.hardware),
            "precision": self.precision(context),
            **({"unused_gpu": idle} if idle else {}),
        }

    def load(self, context: StageContext) -> None:
        """Load the weights; raises StageError that names the remedy."""
        self._precision = self.precision(context)
        self._device = resolve_device(context.hardware)
        self.rows = self.settings.device_batch if self._device == "cuda" else 1
        place = self.place(context)
        load_on(self._device, lambda: self._opened(place, context), "crops.model")

    def release(self) -> None:
        """Give the memory of the weights back."""
        self._model = None
        free_memory()

    def _opened(self, place: Path, context: StageContext) -> bool:
        try:
            self.open(place, self._device, context)
            return True
        except StageError:
            raise
        except ImportError as error:
            raise self._lacks(error) from error
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise StageError(
                f"The detector {self.name} could not load {place}: "
                f"{loading_problem(error)}. Check the files with `clustering-pipeline models "
                "check`, or set crops.detector to the kind that they are of."
            ) from error

    def _lacks(self, error: ImportError) -> StageError:
        return StageError(
            f"The detector {self.name} needs {error.name}, which is not installed: `uv sync "
            "--extra models`, or set crops.detector to contour."
        )

    @abstractmethod
    def open(self, place: Path, device: str, context: StageContext, /) -> None:
        """Load the model at `place` on `device`."""

    def detect(self, images: Sequence[Pixels], prompts: Sequence[Prompt], /) -> list[Detections]:
        """Return the detections of each uint8 (height, width, 3) RGB picture, in order.

        Pictures of one shape go in together, as many as memory holds; raises StageError when a
        single one does not fit.
        """
        texts = PromptTexts.required(prompts) if self.uses_prompts else PromptTexts(())
        by_number: dict[int, Detections] = {}
        for numbers in _of_one_shape(images):
            waiting = numbers
            while waiting:
                batch = waiting[: self.rows]
                detections = within_memory(partial(self._together, images, batch, texts))
                if detections is None:
                    self._halve()
                    continue
                by_number.update(zip(batch, detections, strict=True))
                waiting = waiting[len(batch) :]
        return [by_number[number] for number in range(len(images))]

    def _together(
        self, images: Sequence[Pixels], batch: Sequence[int], texts: "PromptTexts"
    ) -> list[Detections]:
        return self.detect_batch([images[number] for number in batch], texts)

    def _halve(self) -> None:
        if self.rows == 1:
            raise StageError(
                f"A single picture does not fit into the memory of {self._device} beside the "
                f"detector {self.name}. {FULL_MEMORY}"
            )
        self.rows //= 2
        free_memory()

    @abstractmethod
    def detect_batch(self, pictures: Sequence[Pixels], texts: "PromptTexts", /) -> list[Detections]:
        """Return the detections of each of several pictures of one shape."""

    @property
    def minimum_score(self) -> float:
        """Score below which the detector need not report a box."""
        return (
            self.default_score
            if self.settings.minimum_score is None
            else self.settings.minimum_score
        )


def _of_one_shape(images: Sequence[Pixels]) -> list[list[int]]:
    """Return the numbers of the pictures of each shape, shapes in order of appearance."""
    numbers: dict[tuple[int, ...], list[int]] = {}
    for number, pixels in enumerate(images):
        numbers.setdefault(pixels.shape, []).append(number)
    return list(numbers.values())


class PromptTexts:
    """The English nouns and synonyms that a detector is asked for, each with the class word that it
    stands for.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        pairs = [
            (text, prompt.word) for prompt in prompts for text in (prompt.english, *prompt.synonyms)
        ]
        self.word_of = dict(reversed(pairs))
        self.texts = tuple(dict.fromkeys(text for text, _ in pairs))

    @classmethod
    def required(cls, prompts: Sequence[Prompt]) -> "PromptTexts":
        """Return the texts of `prompts`; raises StageError without any."""
        texts = cls(prompts)
        if not texts.texts:
            raise StageError(
                "The detector got no prompts. Set prompts.words to the class words of the category."
            )
        return texts

    def detections(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: Iterable[str]
    ) -> Detections:
        """Return detections whose labels are among the texts, synonyms folded back to their
        word.
        """
        named = tuple(labels)
        words = tuple(self.word_of.get(label) for label in named)
        return Detections(
            boxes.astype(np.float32).reshape(-1, 4), scores.astype(np.float32), words, named
        )
