"""The text tower of a contrastive model: sentences to unit vectors in the space of its pictures."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.checkpoints import load_pretrained, loading_problem
from clustering_pipeline.models.inference import quiet_transformers
from clustering_pipeline.models.open_clip import (
    build_open_clip_text_tower,
    cleans_text,
    is_open_clip,
    text_length,
)

if TYPE_CHECKING:
    from torch import nn

# `model_type` of a folder → the class of its text tower and the attribute that is the vector.
_TOWERS = {
    "clip": ("CLIPTextModelWithProjection", "text_embeds"),
    "siglip": ("SiglipTextModel", "pooler_output"),
}
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TextTower:
    """Loads the tokenizer and the text model of a CLIP or SigLIP folder, in the layout of
    transformers or of OpenCLIP; nothing is fetched.
    """

    def __init__(self, place: Path, device: str) -> None:
        """Raises StageError when the folder is not a complete model with a text tower."""
        try:
            self._tokenizer: Any = quiet_transformers().AutoTokenizer.from_pretrained(
                place, local_files_only=True, trust_remote_code=False
            )
            tower = self._open_clip(place) if is_open_clip(place) else self._of_transformers(place)
        except StageError:
            raise
        except Exception as error:
            raise StageError(
                f"The text tower in {place} cannot be loaded: {loading_problem(error)}. Pull the "
                f"model again."
            ) from error
        self._model: Any = tower.eval().to(device)
        self._device = device

    def _open_clip(self, place: Path) -> "nn.Module":
        tower, self._attribute = build_open_clip_text_tower(place, self._tokenizer.eos_token_id)
        self._length = text_length(place)
        self._cleans = cleans_text(place)
        return tower

    def _of_transformers(self, place: Path) -> "nn.Module":
        configuration: Any = quiet_transformers().AutoConfig.from_pretrained(
            place, trust_remote_code=False
        )
        if configuration.model_type not in _TOWERS:
            raise StageError(
                f"{place} holds a {configuration.model_type!r} model, which reads no words. Choose "
                f"a model of {' or '.join(_TOWERS)}."
            )
        class_name, self._attribute = _TOWERS[configuration.model_type]
        text = configuration.text_config
        if hasattr(configuration, "projection_dim"):
            text.projection_dim = configuration.projection_dim
        self._length = int(text.max_position_embeddings)
        self._cleans = configuration.model_type == "siglip"
        tower, report = load_pretrained(class_name, place, text)
        if report["missing_keys"] or report["mismatched_keys"]:
            raise StageError(
                f"The weights in {place} hold no complete text tower. Pull the model again."
            )
        built: nn.Module = tower
        return built

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, dimension) unit rows, one per text."""
        import torch

        spoken = [_canonical(text) for text in texts] if self._cleans else list(texts)
        tokens = self._tokenizer(
            spoken,
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        ).to(self._device)
        # SigLIP was trained to read its padding too.
        read = {"input_ids": tokens["input_ids"]} if self._cleans else dict(tokens)
        with torch.inference_mode():
            vectors = getattr(self._model(**read), self._attribute).float()
            unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
        return unit


def _canonical(text: str) -> str:
    """Return a text as SigLIP was trained to read it: lower case, no punctuation, single spaces."""
    return " ".join(text.replace("_", " ").translate(_PUNCTUATION).lower().split())
