"""Opens detectors and segmenters of Hugging Face transformers from plain files."""

from pathlib import Path
from typing import Any

from clustering_pipeline.errors import StageError
from clustering_pipeline.models import quiet_transformers


def open_pretrained(place: Path, model_class: str, name: str, device: str) -> tuple[Any, Any]:
    """Return the processor and the model at `place`, the model on `device`; nothing is fetched and no code of the folder runs.

    Raises StageError for weights with holes, which the library would fill with random numbers.
    """
    transformers = quiet_transformers()
    processor: Any = transformers.AutoProcessor.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    model, report = getattr(transformers, model_class).from_pretrained(
        place, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    if report["missing_keys"] or report["mismatched_keys"]:
        raise StageError(f"The weights in {place} are not a complete {name} model. Pull it again.")
    return processor, model.eval().to(device)
