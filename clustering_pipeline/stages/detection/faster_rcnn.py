"""Faster R-CNN (Ren et al. 2015) of torchvision with a user's fine-tuned weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import in_precision, load_into
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import NeuralDetector, PromptTexts
from clustering_pipeline.stages.detection.selection import Detections

if TYPE_CHECKING:
    import torch

USUAL_SHORTER_SIDE = 800


class FasterRcnnDetector(NeuralDetector):
    """Closed-vocabulary boxes, ResNet-50 with a feature pyramid.

    `crops.model` is a folder with one weight file and `labels.json`, a list of the class names from
    class 1 on; class 0 is the background.
    """

    name = "faster-rcnn"
    default_model = "faster-rcnn"
    default_score = 0.9
    uses_prompts = False

    def open(self, place: Path, device: str, _context: StageContext) -> None:
        """Load labels and weights."""
        from torchvision.models.detection import fasterrcnn_resnet50_fpn

        self._labels = _read_labels(place)
        network = fasterrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=len(self._labels) + 1,
            min_size=self.settings.image_size or USUAL_SHORTER_SIDE,
        )
        load_into(network, place)
        self._model = network.eval().to(device)

    def detect_batch(self, pictures: Sequence[Pixels], _texts: PromptTexts) -> list[Detections]:
        """Return the detections of each of several pictures of one shape; no text is asked for."""
        import torch

        tensors = [self._tensor(pixels) for pixels in pictures]
        with torch.inference_mode(), in_precision(self._device, self._precision):
            results = self._model(tensors)
        return [self._detections(result) for result in results]

    def _tensor(self, pixels: Pixels) -> "torch.Tensor":
        import torch

        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return torch.from_numpy(planes).to(self._device).float() / 255

    def _detections(self, result: dict[str, Any]) -> Detections:
        names = tuple(self._labels[int(number) - 1] for number in result["labels"].tolist())
        boxes, scores = (result[name].float().cpu().numpy() for name in ("boxes", "scores"))
        return Detections(boxes, scores, names, names)


def _read_labels(place: Path) -> list[str]:
    path = (place if place.is_dir() else place.parent) / "labels.json"
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(
            f"{path} cannot be read: {error}. Put a JSON list of the class names, from class 1 on, "
            f"beside the weights."
        ) from error
    if (
        not isinstance(labels, list)
        or not labels
        or not all(isinstance(label, str) for label in labels)
    ):
        raise StageError(f'{path} is no list of class names. It looks like ["top", "bottom"].')
    return labels
