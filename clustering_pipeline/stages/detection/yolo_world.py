"""YOLO-World (Cheng et al. 2024) through ultralytics, which is AGPL-3.0 and therefore optional."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import TextTower, locate_model, model_digest
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import NeuralDetector, PromptTexts
from clustering_pipeline.stages.detection.selection import Detections

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
