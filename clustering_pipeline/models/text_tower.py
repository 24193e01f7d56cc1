"""The text tower of a CLIP model: sentences to unit vectors in the space of its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.checkpoints import loading_problem
from clustering_pipeline.models.inference import quiet_transformers


class ClipTextTower:
    """Loads the tokenizer and the text model of a CLIP folder; nothing is fetched."""

    def __init__(self, place: Path, device: str) -> None:
        """Raises StageError when the folder is not a complete CLIP model."""
        transformers = quiet_transformers()
        try:
            configuration = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
            text = configuration.text_config
            text.projection_dim = configuration.projection_dim
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                place, local_files_only=True, trust_remote_code=False
            )
            tower_class: Any = transformers.CLIPTextModelWithProjection
            tower, report = tower_class.from_pretrained(
                place,
                config=text,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:
            raise StageError(
                f"The text tower in {place} cannot be loaded: {loading_problem(error)}. Pull the "
                f"CLIP model again."
            ) from error
        if report["missing_keys"] or report["mismatched_keys"]:
            raise StageError(
                f"The weights in {place} hold no complete text tower. Pull the CLIP model again."
            )
        self._model = tower.eval().to(device)
        self._device = device

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, dimension) unit rows, one per text."""
        import torch

        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            vectors = self._model(**tokens).text_embeds.float()
            unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
        return unit
