"""Models of Hugging Face transformers from the files of a folder, whatever layout the publisher
left them in.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustering_pipeline.models.checkpoints import load_shards
from clustering_pipeline.models.inference import quiet_transformers
from clustering_pipeline.models.repository import weights_of

# Files that the library finds by itself.
_FOUND_BY_LIBRARY = {"model.safetensors", "model.safetensors.index.json"}
_FOUND_AS_PICKLED = {"pytorch_model.bin", "pytorch_model.bin.index.json"}


def load_pretrained(
    class_name: str, place: Path, configuration: Any = None, **options: Any
) -> tuple[Any, Mapping[str, Any]]:
    """Return the model of a class of transformers with the weights in `place`, and the library's
    report of what is missing.

    Nothing is fetched and no code of the folder runs. Safetensors come before pickled weights,
    which are opened only as plain tensors. Shards without an index, as some repositories publish
    them, are read by their tensors' names.
    """
    names = {path.name for path in place.iterdir()}
    chosen = weights_of(names)
    safe = bool(chosen) and chosen[0].endswith(".safetensors")
    model_class = getattr(quiet_transformers(), class_name)
    given = {} if configuration is None else {"config": configuration}
    if not chosen or names & (_FOUND_BY_LIBRARY if safe else _FOUND_AS_PICKLED):
        model, report = model_class.from_pretrained(
            place,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=safe,
            weights_only=True,
            output_loading_info=True,
            **given,
            **options,
        )
    else:
        given.setdefault("config", model_class.config_class.from_pretrained(place))
        state = load_shards([place / name for name in chosen])
        model, report = model_class.from_pretrained(
            None, state_dict=state, output_loading_info=True, **given, **options
        )
    return model, report
