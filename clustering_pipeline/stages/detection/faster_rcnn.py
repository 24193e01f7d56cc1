"""Faster R-CNN (Ren et al. 2015) of torchvision with a user's fine-tuned weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import load_into
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import NeuralDetector
from clustering_pipeline.stages.detection.selection import Detections
from clustering_pipeline.stages.prompts import Prompt

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
        self._model: Any = network.eval().to(device)
        self._device = device

    def detect(self, images: Sequence[Pixels], _prompts: Sequence[Prompt]) -> list[Detections]:
        """Return the detections of each uint8 (height, width, 3) RGB picture; the prompts are not
        asked for.
        """
        return [self._detect(pixels) for pixels in images]

    def _detect(self, pixels: Pixels) -> Detections:
        import torch

        tensor = (
            torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            .to(self._device)
            .float()
            / 255
        )
        with torch.inference_mode():
            (result,) = self._model([tensor])
        names = tuple(self._labels[int(number) - 1] for number in result["labels"].tolist())
        return Detections(
            result["boxes"].cpu().numpy(), result["scores"].cpu().numpy(), names, names
        )


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
