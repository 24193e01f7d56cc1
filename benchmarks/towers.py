"""Image towers of published shapes with random weights: they show speed, not quality."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_CLIP_MEAN, _CLIP_STD = [0.4815, 0.4578, 0.4082], [0.2686, 0.2613, 0.2758]
_BICUBIC = 3


@dataclass(frozen=True)
class Tower:
    """The shape of an image tower and the encoder that loads it."""

    name: str
    kind: Literal["clip", "siglip", "dinov2"]
    width: int
    layers: int
    heads: int
    hidden: int
    patch: int
    side: int = 224
    projection: int = 16

    @property
    def encoder(self) -> Literal["clip", "dinov2"]:
        """The name of `embeddings.encoder` that loads such a tower."""
        return "dinov2" if self.kind == "dinov2" else "clip"

    @property
    def library_class(self) -> tuple[str, str]:
        """The class of transformers that reads the folder, and which of its outputs is the
        vector.
        """
        return {
            "clip": ("CLIPVisionModelWithProjection", "image_embeds"),
            "siglip": ("SiglipVisionModel", "pooler_output"),
            "dinov2": ("Dinov2Model", "pooler_output"),
        }[self.kind]


BIGG = Tower("CLIP ViT-bigG/14", "clip", 1664, 48, 16, 8192, 14, projection=1280)
BASE = Tower("CLIP ViT-B/32", "clip", 768, 12, 12, 3072, 32, projection=512)
LARGE = Tower("CLIP ViT-L/14", "clip", 1024, 24, 16, 4096, 14, projection=768)
SO400M = Tower("SigLIP so400m/14 at 384", "siglip", 1152, 27, 16, 4304, 14, side=384)
DINO = Tower("DINOv2-L/14", "dinov2", 1024, 24, 16, 4096, 14)
TINY = Tower("tiny CLIP", "clip", 32, 2, 2, 64, 16, side=32)


def save_tower(folder: Path, tower: Tower) -> Path:
    """Write a tower with random weights and its preprocessing, in the format of the hub's
    repositories; return the folder.

    The weights are drawn on the GPU where there is one, and saved in bf16 there, fp32 elsewhere.
    """
    import torch

    torch.manual_seed(0)
    on_gpu = torch.cuda.is_available()
    with torch.device("cuda" if on_gpu else "cpu"):
        model = _model(tower)
    model.to(torch.bfloat16 if on_gpu else torch.float32).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessing(tower)))
    return folder


def _model(tower: Tower) -> Any:
    import transformers

    shape: dict[str, Any] = {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "patch_size": tower.patch,
        "image_size": tower.side,
    }
    if tower.kind == "dinov2":
        ratio = tower.hidden // tower.width
        return transformers.Dinov2Model(transformers.Dinov2Config(**shape, mlp_ratio=ratio))
    shape["intermediate_size"] = tower.hidden
    if tower.kind == "siglip":
        return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**shape))
    configuration = transformers.CLIPVisionConfig(
        **shape, projection_dim=tower.projection, hidden_act="gelu"
    )
    return transformers.CLIPVisionModelWithProjection(configuration)


def _preprocessing(tower: Tower) -> dict[str, Any]:
    square = {"height": tower.side, "width": tower.side}
    if tower.kind == "siglip":
        halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        return {"size": square, "resample": _BICUBIC, **halves}
    edge = 256 * tower.side // 224 if tower.kind == "dinov2" else tower.side
    return {
        "size": {"shortest_edge": edge},
        "crop_size": square,
        "do_center_crop": True,
        "resample": _BICUBIC,
        "image_mean": _CLIP_MEAN,
        "image_std": _CLIP_STD,
    }
