"""Which pixels of a box show the product: Segment Anything (Kirillov et al. 2023), asked with the
boxes of a detector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import resolve_device
from clustering_pipeline.imaging import Box, Pixels
from clustering_pipeline.models import (
    free_memory,
    load_on,
    loading_problem,
    locate_model,
    model_digest,
    read_model_type,
)
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection.neural import open_pretrained

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
