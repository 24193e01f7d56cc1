"""Convolutional detectors: Faster R-CNN (Ren et al. 2015) of torchvision with a user's fine-tuned
weights, and YOLO-World (Cheng et al. 2024) through ultralytics, which is AGPL-3.0 and therefore
optional.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import (
    TextTower,
    in_precision,
    load_into,
    locate_model,
    model_digest,
)
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


# Read by ultralytics when it is imported: no network, and no pip behind the user's back.
_QUIET_AND_OFFLINE = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}

USUAL_SIDE = 640


class YoloWorldDetector(NeuralDetector):
    """Open-vocabulary boxes for the category's English prompts.

    The text features come from the text tower of transformers' CLIP ViT-B/32 and are set on the
    model; ultralytics' own way installs a package from git and downloads weights.
    """

    name = "yolo-world"
    default_model = "yolo-world"
    # The published low threshold for zero-shot use; the choice of boxes comes after.
    default_score = 0.05

    def identity(self, context: StageContext) -> str:
        """Return the digests of the detector's weights and of the text tower's."""
        return f"{super().identity(context)} {model_digest(self._text_place(context))} {self._side}"

    @property
    def _side(self) -> int:
        return self.settings.image_size or USUAL_SIDE

    def open(self, place: Path, device: str, context: StageContext) -> None:
        """Load the detector and the text tower."""
        self._model = _yolo_world_class()(str(place))
        self._tower = TextTower(self._text_place(context), device)
        self._texts: tuple[str, ...] = ()

    def detect_batch(self, pictures: Sequence[Pixels], texts: PromptTexts) -> list[Detections]:
        """Return the boxes of each picture."""
        self._ask_for(texts.texts)
        results = self._model.predict(
            [np.ascontiguousarray(pixels[:, :, ::-1]) for pixels in pictures],
            imgsz=self._side,
            conf=self.minimum_score,
            iou=self.settings.overlap,
            agnostic_nms=True,
            rect=False,
            **({"quantize": 16} if self._precision == "fp16" else {}),
            device=self._device,
            verbose=False,
        )
        return [self._detections(result.boxes, texts) for result in results]

    def _detections(self, boxes: Any, texts: PromptTexts) -> Detections:
        labels = (self._texts[int(number)] for number in boxes.cls.tolist())
        return texts.detections(boxes.xyxy.cpu().numpy(), boxes.conf.cpu().numpy(), labels)

    def _ask_for(self, texts: tuple[str, ...]) -> None:
        if texts == self._texts:
            return
        import torch

        network = self._model.model
        network.txt_feats = torch.from_numpy(self._tower.encode(texts))[None].to(self._device)
        network.model[-1].nc = len(texts)
        network.names = dict(enumerate(texts))
        # The predictor holds a fused copy made for the texts before.
        self._model.predictor = None
        self._texts = texts

    def _text_place(self, context: StageContext) -> Path:
        return locate_model(self.settings.text_model, context.hardware, "crops.text_model")


def _yolo_world_class() -> Any:
    """Return the class of ultralytics and undo what its import does to Pillow: its `Image.open`
    asks for a package that may be missing.
    """
    for name, value in _QUIET_AND_OFFLINE.items():
        os.environ.setdefault(name, value)
    open_image = Image.open
    from ultralytics.models import YOLOWorld
    from ultralytics.nn import tasks

    Image.open = open_image
    _refuse_code_in_checkpoints(tasks)
    return YOLOWorld


def _refuse_code_in_checkpoints(tasks: Any) -> None:
    """Have ultralytics read tensors and its own classes only; raises StageError for a version that
    cannot.

    Its environment variable is read once, at an import that may have been somebody else's.
    """
    if not getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False):
        raise StageError(
            "This version of ultralytics would run the code in a checkpoint. Update it with `uv "
            "sync --extra models`, or set crops.detector to grounding-dino or owlv2."
        )
    tasks.SAFE_LOAD = True
