"""Detectors with trained weights: Grounding DINO and OWLv2 of Hugging Face transformers, both
Apache-2.0 and with an open vocabulary; Faster R-CNN (Ren et al. 2015) of torchvision with a user's
fine-tuned weights; YOLO-World (Cheng et al. 2024) through ultralytics, which is AGPL-3.0 and
therefore optional. And which pixels of a box show the product: Segment Anything (Kirillov et al.
2023), asked with the boxes of a detector.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import resolve_device
from clustering_pipeline.imaging import Box, Pixels
from clustering_pipeline.models import (
    TextTower,
    free_memory,
    in_precision,
    load_into,
    load_on,
    loading_problem,
    locate_model,
    model_digest,
    read_model_type,
)
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import NeuralDetector, PromptTexts, open_pretrained
from clustering_pipeline.stages.detection.selection import Detections

if TYPE_CHECKING:
    import torch


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


Mask = NDArray[np.bool_]

# A mask that leaves less of its box than this has found a label or a shadow rather than the
# product.
LEAST_SHARE = 0.1
# `model_type` of a folder → the class of transformers. The published SAM 2 folders say that they
# are of its video model.
SAM_CLASSES = {"sam": "SamModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}


class Segmenter(Protocol):
    """Tells the product in a box from its background. The constructor does nothing heavy."""

    def identity(self, context: StageContext) -> str:
        """Return what the masks depend on besides settings."""

    def load(self, context: StageContext) -> None:
        """Load the weights; raises StageError that names the remedy."""

    def release(self) -> None:
        """Give the memory of the weights back."""

    def masks(self, pixels: Pixels, boxes: Sequence[Box]) -> list[Mask | None]:
        """Return for each box of a picture (height, width, 3) its bool mask (box height, box
        width), None where none is believed.
        """


class SamSegmenter:
    """SAM and SAM 2 of transformers; `crops.mask_model` names the weights."""

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings
        self._model: Any = None

    def identity(self, context: StageContext) -> str:
        """Return the kind of model and the digest of its weights."""
        return f"sam {model_digest(self._place(context))}"

    def load(self, context: StageContext) -> None:
        """Load the weights; raises StageError that names the remedy."""
        place = self._place(context)
        self._device = resolve_device(context.hardware)
        try:
            self._processor, self._model = load_on(
                self._device,
                lambda: open_pretrained(place, _model_class(place), "SAM", self._device),
                "crops.mask_model",
            )
        except StageError:
            raise
        except ImportError as error:
            raise StageError(
                f"crops.mask needs {error.name}, which is not installed: `uv sync --extra models`, "
                f"or set crops.mask to off."
            ) from error
        except Exception as error:
            raise StageError(
                f"The segmenter could not load {place}: {loading_problem(error)}. Check the files "
                "with `clustering-pipeline models check`, or set crops.mask to off."
            ) from error

    def release(self) -> None:
        """Give the memory of the weights back."""
        self._model = None
        free_memory()

    def masks(self, pixels: Pixels, boxes: Sequence[Box]) -> list[Mask | None]:
        """Return a mask for each box, None for one that covers hardly any of its box."""
        if not boxes:
            return []
        segmented = self._segment(pixels, boxes)
        cuts = [segmented[number][y0:y1, x0:x1] for number, (x0, y0, x1, y1) in enumerate(boxes)]
        return [cut if cut.mean() >= LEAST_SHARE else None for cut in cuts]

    def _segment(self, pixels: Pixels, boxes: Sequence[Box]) -> Mask:
        """Return bool (boxes, height, width)."""
        import torch
        from PIL import Image

        asked = [[[float(edge) for edge in box] for box in boxes]]
        inputs = self._processor(
            images=Image.fromarray(pixels), input_boxes=asked, return_tensors="pt"
        )
        sizes = [
            inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs
        ]
        with torch.inference_mode():
            outputs: Any = self._model(**inputs.to(self._device), multimask_output=False)
        (masks,) = self._processor.post_process_masks(
            outputs.pred_masks.cpu(), *(size.cpu() for size in sizes)
        )
        stacked: Mask = masks.reshape(len(boxes), *pixels.shape[:2]).numpy().astype(bool)
        return stacked

    def _place(self, context: StageContext) -> Path:
        return locate_model(self.settings.mask_model, context.hardware, "crops.mask_model")


def make_segmenter(settings: CropSettings) -> Segmenter | None:
    """Return the segmenter that the settings ask for, not yet loaded; None when backgrounds
    stay.
    """
    return None if settings.mask == "off" or settings.crop == "off" else SamSegmenter(settings)


def _model_class(place: Path) -> str:
    model_type = read_model_type(place)
    if model_type not in SAM_CLASSES:
        raise StageError(
            f"crops.mask_model: {place} holds a {model_type!r} model, and masks are made by "
            f"{', '.join(SAM_CLASSES)}. Set it to a folder of SAM."
        )
    return SAM_CLASSES[model_type]
