"""What the detectors with trained weights share: finding the weights, their identity, and one
picture at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import resolve_device
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import (
    load_pretrained,
    loading_problem,
    locate_model,
    model_digest,
    quiet_transformers,
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

    A subclass opens its model and detects in one picture, so that no result depends on a batch's
    padding.
    """

    name: str
    default_model: ClassVar[str]
    default_score: float
    uses_prompts = True
    runs_in_workers = False

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings

    def place(self, context: StageContext) -> Path:
        """Return the folder or file of the weights; raises StageError when they are not on this
        machine.
        """
        return locate_model(
            self.settings.model or self.default_model, context.hardware, "crops.model"
        )

    def identity(self, context: StageContext) -> str:
        """Return the detector's name and the digest of its weights."""
        return f"{self.name} {model_digest(self.place(context))}"

    def load(self, context: StageContext) -> None:
        """Load the weights; raises StageError that names the remedy."""
        try:
            self.open(self.place(context), resolve_device(context.hardware), context)
        except StageError:
            raise
        except ImportError as error:
            raise StageError(
                f"The detector {self.name} needs {error.name}, which is not installed: `uv sync "
                "--extra models`, or set crops.detector to contour."
            ) from error
        except Exception as error:
            raise StageError(
                f"The detector {self.name} could not load {self.place(context)}: "
                f"{loading_problem(error)}. Check the files with `clustering-pipeline models "
                "check`, or set crops.detector to the kind that they are of."
            ) from error

    @abstractmethod
    def open(self, place: Path, device: str, context: StageContext, /) -> None:
        """Load the model at `place` on `device`."""

    @abstractmethod
    def detect(self, images: Sequence[Pixels], prompts: Sequence[Prompt], /) -> list[Detections]:
        """Return the detections of each uint8 (height, width, 3) RGB picture, in order."""

    @property
    def minimum_score(self) -> float:
        """Score below which the detector need not report a box."""
        return (
            self.default_score
            if self.settings.minimum_score is None
            else self.settings.minimum_score
        )


class PromptedDetector(NeuralDetector):
    """A detector that is asked for words, one picture at a time."""

    def detect(self, images: Sequence[Pixels], prompts: Sequence[Prompt], /) -> list[Detections]:
        """Return the detections of each uint8 (height, width, 3) RGB picture, in order."""
        texts = PromptTexts(prompts)
        return [self.detect_one(pixels, texts) for pixels in images]

    @abstractmethod
    def detect_one(self, pixels: Pixels, texts: "PromptTexts") -> Detections:
        """Return the detections of one picture."""


class PromptTexts:
    """The English nouns and synonyms that a detector is asked for, each with the class word that it
    stands for.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        """Raises StageError without any prompt."""
        pairs = [
            (text, prompt.word) for prompt in prompts for text in (prompt.english, *prompt.synonyms)
        ]
        self.word_of = dict(reversed(pairs))
        self.texts = tuple(dict.fromkeys(text for text, _ in pairs))
        if not self.texts:
            raise StageError(
                "The detector got no prompts. Set prompts.words to the class words of the category."
            )

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
