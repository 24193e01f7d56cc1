"""SigLIP image towers in the layout of OpenCLIP, as the Marqo e-commerce models are published.

Their repositories bring code of their own, which is never run: the weights of the timm tower are
given to the same architecture of transformers under its names.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models import ImagePreprocessing, fill, load_state_dict, quiet_transformers

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIGURATION = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TOWER = "visual.trunk."
# Base and large towers of timm; both split their width into heads of 64 channels and use the exact
# GELU.
KNOWN_TOWERS = re.compile(r"vit_(base|large)_patch\d+_siglip_\d+")
HEAD_CHANNELS = 64
FILTERS = {"bilinear": 2, "bicubic": 3}

# Names of timm and what transformers calls them, in the order in which they are replaced.
_RENAMED = (
    ("pos_embed", "embeddings.position_embedding.weight"),
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("blocks.", "encoder.layers."),
    (".attn.proj.", ".self_attn.out_proj."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    ("attn_pool.latent", "head.probe"),
    ("attn_pool.proj.", "head.attention.out_proj."),
    ("attn_pool.norm.", "head.layernorm."),
    ("attn_pool.mlp.", "head.mlp."),
)

State = dict[str, "torch.Tensor"]


def is_open_clip(place: Path) -> bool:
    """Return whether the folder holds a model in the layout of OpenCLIP."""
    return (place / CONFIGURATION).is_file()


def read_open_clip_preprocessing(place: Path) -> ImagePreprocessing:
    """Return how a crop becomes the tower's input, as the folder's configuration says; raises
    StageError when it says nothing usable.
    """
    configuration = _read(place)
    side = _image_side(place, configuration)
    try:
        stated = configuration["preprocess_cfg"]
        squashes = {"squash": True, "shortest": False}[stated.get("resize_mode", "shortest")]
        return ImagePreprocessing(
            resize=(side, side) if squashes else (side,),
            crop=None if squashes else (side, side),
            resample=FILTERS[stated.get("interpolation", "bicubic")],
            mean=tuple(map(float, stated["mean"])),  # type: ignore[arg-type]
            std=tuple(map(float, stated["std"])),  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"{place / CONFIGURATION} describes a preprocessing that is not known here ({error}). "
            f"Pull the model again."
        ) from error


def build_open_clip_tower(place: Path) -> "nn.Module":
    """Return transformers' SigLIP tower with the weights of the folder; its `pooler_output` is
    OpenCLIP's image vector.

    Raises StageError for a tower that is no base or large SigLIP, and for weights that do not fit
    it.
    """
    import torch

    configuration = _read(place)
    name = str(configuration.get("model_cfg", {}).get("vision_cfg", {}).get("timm_model_name"))
    if not KNOWN_TOWERS.fullmatch(name):
        raise StageError(
            f"{place} holds the OpenCLIP tower {name!r}; base and large SigLIP towers "
            "(vit_base_patch16_siglip_224 …) are read. Choose a model that transformers "
            "publishes, or export the image tower to ONNX and set embeddings.encoder to onnx."
        )
    state = _named_as_transformers(load_state_dict(place / WEIGHTS))
    vision = _vision_configuration(state, _image_side(place, configuration), place)
    with torch.device("meta"):
        tower: nn.Module = quiet_transformers().SiglipVisionModel(vision)
    outer = next(iter(tower.state_dict())).partition("embeddings.")[0]
    fill(tower, {outer + key: value for key, value in state.items()}, place)
    return tower


def _read(place: Path) -> dict[str, Any]:
    path = place / CONFIGURATION
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StageError(f"{path} cannot be read: {error}. Pull the model again.") from error


def _image_side(place: Path, configuration: dict[str, Any]) -> int:
    try:
        return int(configuration["model_cfg"]["vision_cfg"]["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"{place / CONFIGURATION} does not say model_cfg.vision_cfg.image_size ({error}). Pull "
            f"the model again."
        ) from error


def _vision_configuration(state: State, side: int, place: Path) -> Any:
    try:
        width, _, _, patch = state["embeddings.patch_embedding.weight"].shape
        inner = len(state["encoder.layers.0.mlp.fc1.weight"])
    except (KeyError, ValueError) as error:
        raise StageError(
            f"The weights in {place / WEIGHTS} hold no SigLIP image tower ({error}). Pull the "
            f"model again."
        ) from error
    return quiet_transformers().SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=len(
            {name.split(".")[2] for name in state if name.startswith("encoder.layers.")}
        ),
        num_attention_heads=max(1, width // HEAD_CHANNELS),
        patch_size=patch,
        image_size=side,
        hidden_act="gelu",
    )


def _named_as_transformers(state: State) -> State:
    """Return the image tower's tensors under the names of transformers."""
    import torch

    tower = {
        name.removeprefix(TOWER): value for name, value in state.items() if name.startswith(TOWER)
    }
    renamed: State = {}
    for name, value in tower.items():
        if ".attn.qkv." in name:
            renamed |= _taken_apart(name, value)
        elif name.startswith("attn_pool.q."):
            kind = name.rpartition(".")[2]
            renamed[f"head.attention.in_proj_{kind}"] = torch.cat(
                [value, tower[f"attn_pool.kv.{kind}"]]
            )
        elif not name.startswith("attn_pool.kv."):
            renamed[_renamed(name)] = value.flatten(0, -2) if name == "pos_embed" else value
    return renamed


def _taken_apart(name: str, value: "torch.Tensor") -> State:
    """Return the three projections of a layer's attention, which timm keeps as one."""
    layer, kind = _renamed(name).split(".attn.qkv.")
    return {
        f"{layer}.self_attn.{part}_proj.{kind}": piece
        for part, piece in zip("qkv", value.chunk(3), strict=True)
    }


def _renamed(name: str) -> str:
    for theirs, ours in _RENAMED:
        name = name.replace(theirs, ours)
    return re.sub(r"^norm\.", "post_layernorm.", name)
