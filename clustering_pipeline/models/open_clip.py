"""Contrastive models in the layout of OpenCLIP: one file of weights with both towers, and
`open_clip_config.json`.

LAION, DataComp, DFN, MetaCLIP, Marqo and timm publish so. Code of a repository is never run: the
weights are given to the same architecture of transformers under its names, for OpenCLIP's own
vision transformer that of CLIP, for timm's SigLIP tower that of SigLIP.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.checkpoints import fill, load_shards
from clustering_pipeline.models.files import weights_of
from clustering_pipeline.models.inference import quiet_transformers
from clustering_pipeline.models.preprocessing import ImagePreprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIGURATION = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
IMAGE, TIMM, TEXT = "visual.", "visual.trunk.", "text."
# Base and large towers of timm; both split their width into heads of 64 channels and use the exact
# GELU.
KNOWN_TOWERS = re.compile(r"vit_(base|large)_patch\d+_siglip_\d+")
HEAD_CHANNELS = 64
FILTERS = {"bilinear": 2, "bicubic": 3}
# What a vision or text configuration may say without changing the architecture that is built here.
VISION_KEYS = frozenset(
    {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "patch_dropout"}
)
TEXT_KEYS = frozenset(
    {
        "context_length",
        "vocab_size",
        "width",
        "heads",
        "layers",
        "mlp_ratio",
        "hf_tokenizer_name",
        "tokenizer_kwargs",
        "no_causal_mask",
        "proj_bias",
        "pool_type",
        "norm_kwargs",
        "act_kwargs",
    }
)

Renaming = Sequence[tuple[str, str]]
State = dict[str, "torch.Tensor"]

# Names of timm and of OpenCLIP, and what transformers calls them, in the order in which they are
# replaced.
_TIMM: Renaming = (
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
_BLOCKS: Renaming = (
    ("transformer.resblocks.", "encoder.layers."),
    (".attn.out_proj.", ".self_attn.out_proj."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)
_VISION: Renaming = (
    ("class_embedding", "embeddings.class_embedding"),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("conv1.", "embeddings.patch_embedding."),
    ("ln_pre.", "pre_layrnorm."),
    ("ln_post.", "post_layernorm."),
    *_BLOCKS,
)
_TEXT: Renaming = (
    ("token_embedding.", "embeddings.token_embedding."),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("ln_final.", "final_layer_norm."),
    *_BLOCKS,
)


def is_open_clip(place: Path) -> bool:
    """Return whether a folder is read in the layout of OpenCLIP.

    Some repositories hold both layouts. That of OpenCLIP is taken where its weights are there, or
    where the other one would need code of the repository.
    """
    if not (place / CONFIGURATION).is_file():
        return False
    return bool(_weights(place)) or not _plain_configuration(place / "config.json")


def _plain_configuration(path: Path) -> bool:
    try:
        return "auto_map" not in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


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


def build_open_clip_tower(place: Path) -> tuple["nn.Module", str]:
    """Return the image tower with the weights of the folder, and the attribute of its output that
    is OpenCLIP's image vector.

    Raises StageError for an architecture that is neither OpenCLIP's vision transformer nor a base
    or large SigLIP, and for weights that do not fit it.
    """
    configuration = _read(place)
    if holds_siglip(place):
        return _siglip_image_tower(place, configuration), "pooler_output"
    return _clip_image_tower(place, configuration), "image_embeds"


def holds_siglip(place: Path) -> bool:
    """Whether a folder in the layout of OpenCLIP holds a SigLIP tower of timm, and no CLIP."""
    vision = _read(place).get("model_cfg", {}).get("vision_cfg", {})
    return bool(vision.get("timm_model_name"))


def _siglip_image_tower(place: Path, configuration: dict[str, Any]) -> "nn.Module":
    name = str(configuration["model_cfg"]["vision_cfg"]["timm_model_name"])
    if not KNOWN_TOWERS.fullmatch(name):
        raise StageError(
            f"{place} holds the OpenCLIP tower {name!r}; OpenCLIP's own vision transformers and "
            "base and large SigLIP towers (vit_base_patch16_siglip_224 …) are read. Choose a model "
            "that transformers publishes, or export the image tower to ONNX and set "
            "embeddings.encoder to onnx."
        )
    state = _timm_as_transformers(_tensors(place, TIMM))
    side = _image_side(place, configuration)
    vision = _siglip_configuration(state, side, place)
    return _filled("SiglipVisionModel", vision, state, place)


def _clip_image_tower(place: Path, configuration: dict[str, Any]) -> "nn.Module":
    model = configuration["model_cfg"]
    stated = model["vision_cfg"]
    _refuse_unknown(place, stated, VISION_KEYS)
    width = int(stated["width"])
    try:
        vision = quiet_transformers().CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=int(width * stated.get("mlp_ratio", 4.0)),
            num_hidden_layers=int(stated["layers"]),
            num_attention_heads=width // int(stated.get("head_width", HEAD_CHANNELS)),
            patch_size=int(stated["patch_size"]),
            image_size=_image_side(place, configuration),
            projection_dim=int(model["embed_dim"]),
            hidden_act=_activation(model, stated),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(place, error) from error
    tensors = _tensors(place, IMAGE)
    state = _open_clip_as_transformers(tensors, _VISION, "vision_model.")
    if "proj" in tensors:
        state["visual_projection.weight"] = tensors["proj"].T
    return _filled("CLIPVisionModelWithProjection", vision, state, place)


def build_open_clip_text_tower(place: Path, last_token: int) -> tuple["nn.Module", str]:
    """Return the text tower with the weights of the folder, and the attribute of its output that is
    OpenCLIP's text vector; raises StageError as `build_open_clip_tower`.

    `last_token` is the number of the token that ends a text, at whose place CLIP's vector is taken.
    """
    configuration = _read(place)
    model = configuration.get("model_cfg", {})
    stated = model.get("text_cfg", {})
    _refuse_unknown(place, stated, TEXT_KEYS)
    is_siglip = bool(stated.get("no_causal_mask"))
    kind = "Siglip" if is_siglip else "CLIP"
    try:
        width = int(stated["width"])
        shape = {
            "hidden_size": width,
            "intermediate_size": int(width * stated.get("mlp_ratio", 4.0)),
            "num_hidden_layers": int(stated["layers"]),
            "num_attention_heads": int(stated["heads"]),
            "vocab_size": int(stated["vocab_size"]),
            "max_position_embeddings": text_length(place),
            "projection_dim": int(model["embed_dim"]),
            "projection_size": int(model["embed_dim"]),
            "layer_norm_eps": float(stated.get("norm_kwargs", {}).get("eps", 1e-5)),
            "hidden_act": _activation(model, stated),
            "eos_token_id": last_token,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(place, error) from error
    configured = getattr(quiet_transformers(), f"{kind}TextConfig")(**shape)
    tensors = _text_tensors(place)
    state = _open_clip_as_transformers(tensors, _TEXT, "text_model.")
    if is_siglip:
        state |= {
            f"text_model.head.{part}": tensors[f"text_projection.{part}"]
            for part in ("weight", "bias")
            if f"text_projection.{part}" in tensors
        }
        return _filled("SiglipTextModel", configured, state, place), "pooler_output"
    if "text_projection" in tensors:
        state["text_projection.weight"] = tensors["text_projection"].T
    return _filled("CLIPTextModelWithProjection", configured, state, place), "text_embeds"


def text_length(place: Path) -> int:
    """Return how many tokens the text tower of the folder reads."""
    return int(_read(place).get("model_cfg", {}).get("text_cfg", {}).get("context_length", 77))


def cleans_text(place: Path) -> bool:
    """Whether texts lose case and punctuation before they are tokenised, as SigLIP was trained."""
    text = _read(place).get("model_cfg", {}).get("text_cfg", {})
    return bool(text.get("tokenizer_kwargs", {}).get("clean") == "canonicalize")


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


def _refuse_unknown(place: Path, stated: Mapping[str, Any], supported: frozenset[str]) -> None:
    """Refuse what would make another architecture of the tower than the one that is built."""
    unknown = sorted(name for name, value in stated.items() if value and name not in supported)
    if unknown:
        raise StageError(
            f"{place / CONFIGURATION} asks for {', '.join(unknown)}, which is not known here. "
            "Choose a model that transformers publishes, or export the image tower to ONNX and set "
            "embeddings.encoder to onnx."
        )


def _activation(model: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    if model.get("quick_gelu"):
        return "quick_gelu"
    approximate = stated.get("act_kwargs", {}).get("approximate")
    return "gelu_pytorch_tanh" if approximate == "tanh" else "gelu"


def _unusable(place: Path, error: Exception) -> StageError:
    return StageError(
        f"{place / CONFIGURATION} does not describe a tower ({error!r}). Pull the model again."
    )


def _weights(place: Path) -> list[str]:
    return weights_of(path.name for path in place.iterdir() if path.name.startswith("open_clip_"))


def _tensors(place: Path, prefix: str) -> State:
    """Return the tensors under a prefix, without it; the others are not read."""
    files = [place / name for name in _weights(place) or [WEIGHTS]]
    state = load_shards(files, lambda name: name.startswith(prefix))
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _text_tensors(place: Path) -> State:
    """Return the text tower's tensors: below `text.`, or beside the image tower where the model is
    the first CLIP's.
    """
    below = _tensors(place, TEXT)
    if below:
        return below
    named = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_proj")
    files = [place / name for name in _weights(place) or [WEIGHTS]]
    return load_shards(files, lambda name: name.startswith(named))


def _filled(class_name: str, configuration: Any, state: State, place: Path) -> "nn.Module":
    """Build a class of transformers around tensors that are named without its outer prefix where
    it has one.
    """
    import torch

    with torch.device("meta"):
        tower: nn.Module = getattr(quiet_transformers(), class_name)(configuration)
    expected = set(tower.state_dict())
    outer = next(
        (name.partition("embeddings.")[0] for name in expected if "embeddings." in name), ""
    )
    named = {
        name if name in expected else outer + _inner(name): value for name, value in state.items()
    }
    left = sorted(set(named) - expected)
    if left:
        raise StageError(
            f"The weights in {place} hold more than the tower that {CONFIGURATION} describes "
            f"({', '.join(left[:3])}, …). Pull the model again."
        )
    fill(tower, named, place)
    return tower


def _inner(name: str) -> str:
    """Return a tensor's name without the tower's own prefix, which some versions of the library
    leave out.
    """
    return name.removeprefix("vision_model.").removeprefix("text_model.")


def _siglip_configuration(state: State, side: int, place: Path) -> Any:
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


def _timm_as_transformers(tower: State) -> State:
    """Return the tensors of timm's SigLIP tower under the names of transformers."""
    import torch

    renamed: State = {}
    for name, value in tower.items():
        if ".attn.qkv." in name:
            layer, kind = _renamed(name, _TIMM).split(".attn.qkv.")
            renamed |= _taken_apart(layer, kind, value)
        elif name.startswith("attn_pool.q."):
            kind = name.rpartition(".")[2]
            renamed[f"head.attention.in_proj_{kind}"] = torch.cat(
                [value, tower[f"attn_pool.kv.{kind}"]]
            )
        elif not name.startswith("attn_pool.kv."):
            new = re.sub(r"^norm\.", "post_layernorm.", _renamed(name, _TIMM))
            renamed[new] = value.flatten(0, -2) if name == "pos_embed" else value
    return renamed


def _open_clip_as_transformers(tower: State, names: Renaming, outer: str) -> State:
    """Return the tensors of one of OpenCLIP's transformers under the names of transformers, but for
    its projection.
    """
    renamed: State = {}
    for name, value in tower.items():
        if ".attn.in_proj_" in name:
            layer, kind = _renamed(name, names).split(".attn.in_proj_")
            renamed |= _taken_apart(outer + layer, kind, value)
        elif name not in ("proj", "attn_mask") and not name.startswith("text_projection"):
            renamed[outer + _renamed(name, names)] = value
    return renamed


def _taken_apart(layer: str, kind: str, value: "torch.Tensor") -> State:
    """Return the three projections of a layer's attention, which are kept as one."""
    return {
        f"{layer}.self_attn.{part}_proj.{kind}": piece
        for part, piece in zip("qkv", value.chunk(3), strict=True)
    }


def _renamed(name: str, names: Renaming) -> str:
    for theirs, ours in names:
        name = name.replace(theirs, ours)
    return name
