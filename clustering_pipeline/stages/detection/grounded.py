"""Open-vocabulary detectors of Hugging Face transformers, both Apache-2.0: Grounding DINO and
OWLv2.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import in_precision
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import (
    NeuralDetector,
    PromptTexts,
    open_pretrained,
)
from clustering_pipeline.stages.detection.selection import Detections

# The length that OWLv2 was trained with.
TEXT_TOKENS = 16


class TransformerDetector(NeuralDetector):
    """Loads a processor and a model from plain files; a subclass names the model's class and words
    its question.
    """

    model_class: ClassVar[str]

    def open(self, place: Path, device: str, _context: StageContext) -> None:
        """Load processor and model."""
        self._processor, self._model = open_pretrained(place, self.model_class, self.name, device)

    def _run(self, pictures: Sequence[Pixels], text: Any, **options: Any) -> tuple[Any, Any]:
        """Ask the same of every picture; return the inputs and the float32 outputs."""
        import torch
        from PIL import Image

        inputs = self._processor(
            images=[Image.fromarray(pixels) for pixels in pictures],
            text=[text] * len(pictures),
            return_tensors="pt",
            **options,
        ).to(self._device)
        with torch.inference_mode(), in_precision(self._device, self._precision):
            outputs: Any = self._model(**inputs)
        outputs.logits, outputs.pred_boxes = outputs.logits.float(), outputs.pred_boxes.float()
        return inputs, outputs


class GroundingDinoDetector(TransformerDetector):
    """Grounding DINO (Liu et al. 2024)."""

    name = "grounding-dino"
    default_model = "IDEA-Research/grounding-dino-tiny"
    default_score = 0.25
    model_class = "GroundingDinoForObjectDetection"
    text_score: ClassVar[float] = 0.2

    def detect_batch(self, pictures: Sequence[Pixels], texts: PromptTexts) -> list[Detections]:
        """Return the boxes of each picture; a phrase that the model answers in part counts for the
        text that holds it.
        """
        inputs, outputs = self._run(pictures, ". ".join(texts.texts) + ".")
        results = self._processor.post_process_grounded_object_detection(
            outputs,
            inputs.input_ids,
            threshold=self.minimum_score,
            text_threshold=self.text_score,
            target_sizes=[pixels.shape[:2] for pixels in pictures],
        )
        return [
            _detections(
                texts,
                result,
                [_closest(phrase, texts.texts) for phrase in result["text_labels"]],
            )
            for result in results
        ]


class Owlv2Detector(TransformerDetector):
    """OWLv2 (Minderer et al. 2023)."""

    name = "owlv2"
    default_model = "google/owlv2-base-patch16-ensemble"
    default_score = 0.1
    model_class = "Owlv2ForObjectDetection"

    def detect_batch(self, pictures: Sequence[Pixels], texts: PromptTexts) -> list[Detections]:
        """Return the boxes of each picture."""
        questions = [f"a photo of a {text}" for text in texts.texts]
        _, outputs = self._run(
            pictures, questions, padding="max_length", max_length=TEXT_TOKENS, truncation=True
        )
        results = self._processor.post_process_grounded_object_detection(
            outputs,
            threshold=self.minimum_score,
            target_sizes=[pixels.shape[:2] for pixels in pictures],
        )
        return [
            _detections(
                texts, result, [texts.texts[int(number)] for number in result["labels"].tolist()]
            )
            for result in results
        ]


def _detections(texts: PromptTexts, result: dict[str, Any], labels: list[str]) -> Detections:
    return texts.detections(result["boxes"].cpu().numpy(), result["scores"].cpu().numpy(), labels)


def _closest(phrase: str, texts: tuple[str, ...]) -> str:
    """Return the text that shares most words with a phrase, the first of equals."""
    spoken = set(phrase.split())
    shared = [len(spoken & set(text.split())) for text in texts]
    return texts[int(np.argmax(shared))]
