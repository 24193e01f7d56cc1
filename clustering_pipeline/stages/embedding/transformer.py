"""Image towers of Hugging Face transformers: CLIP, SigLIP, ViT, DINOv2, DINOv3 and ResNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Half
from clustering_pipeline.models import (
    ImagePreprocessing,
    build_open_clip_tower,
    holds_siglip,
    is_open_clip,
    load_pretrained,
    quiet_transformers,
    read_model_type,
    read_open_clip_preprocessing,
)
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.neural import NeuralEncoder

if TYPE_CHECKING:
    import torch
    from torch import nn


# The deepest published image towers have about fifty.
MOST_LAYERS = 512


class TransformerEncoder(NeuralEncoder):
    """Loads the image tower that `config.json` describes, from plain files, never with code of the
    repository.

    A subclass lists per `model_type` the class of transformers and the attribute of its output that
    is the vector.
    """

    towers: ClassVar[dict[str, tuple[str, str]]]
    _attribute = ""

    def place(self, context: StageContext) -> Path:
        """Return the folder of the weights, also where the setting names a file in it."""
        place = super().place(context)
        return place if place.is_dir() else _described_folder(place)

    def build(self, place: Path) -> "nn.Module":
        """Return the image tower; raises StageError for another kind of model, or holes in it."""
        class_name, attribute = self._tower(place)
        configuration = _tower_configuration(
            quiet_transformers().AutoConfig.from_pretrained(place, trust_remote_code=False)
        )
        options = {"add_pooling_layer": False} if attribute == "first_token" else {}
        tower, report = load_pretrained(class_name, place, configuration, **options)
        _require_complete(place, report)
        self._attribute = attribute
        built: nn.Module = tower
        return built

    def pooled(self, module: "nn.Module", pixels: "torch.Tensor") -> "torch.Tensor":
        """Return the attribute of the output that is the tower's vector, (n, dimension)."""
        output: Any = module(pixel_values=pixels)
        if self._attribute == "first_token":
            first: torch.Tensor = output.last_hidden_state[:, 0]
            return first
        vectors: torch.Tensor = getattr(output, self._attribute)
        return vectors.flatten(1)

    def _tower(self, place: Path) -> tuple[str, str]:
        model_type = read_model_type(place)
        if model_type not in self.towers:
            raise StageError(
                f"{place} holds a {model_type!r} model, and the encoder {self.settings.encoder!r} "
                f"loads {', '.join(self.towers)}. Set embeddings.encoder to the kind that fits, or "
                "embeddings.model to another folder."
            )
        return self.towers[model_type]


class ClipEncoder(TransformerEncoder):
    """Contrastive image-text models: CLIP (Radford et al. 2021), SigLIP (Zhai et al. 2023) and
    fixed-size SigLIP 2.

    Both are read in the layout of OpenCLIP too, in which LAION, DataComp, DFN and Marqo publish.
    """

    default_model = "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
    towers: ClassVar[dict[str, tuple[str, str]]] = {
        "clip": ("CLIPVisionModelWithProjection", "image_embeds"),
        "clip_vision_model": ("CLIPVisionModelWithProjection", "image_embeds"),
        "siglip": ("SiglipVisionModel", "pooler_output"),
        "siglip_vision_model": ("SiglipVisionModel", "pooler_output"),
    }

    def preprocessing(self, context: StageContext) -> ImagePreprocessing:
        """Return what the folder says, in the layout of OpenCLIP or of transformers."""
        place = self.place(context)
        return (
            read_open_clip_preprocessing(place)
            if is_open_clip(place)
            else super().preprocessing(context)
        )

    def half(self, place: Path) -> Half:
        """CLIP was trained in fp16, whose vectors are the nearer ones; SigLIP overflows in it."""
        if is_open_clip(place):
            return "bf16" if holds_siglip(place) else "fp16"
        return "bf16" if read_model_type(place).startswith("siglip") else "fp16"

    def build(self, place: Path) -> "nn.Module":
        """Return the image tower of either layout."""
        if not is_open_clip(place):
            return super().build(place)
        tower, self._attribute = build_open_clip_tower(place)
        return tower


class VitEncoder(TransformerEncoder):
    """Vision Transformer (Dosovitskiy et al. 2021): the class token of the last layer."""

    default_model = "google/vit-base-patch16-224"
    towers: ClassVar[dict[str, tuple[str, str]]] = {"vit": ("ViTModel", "first_token")}


class DinoEncoder(TransformerEncoder):
    """Self-supervised DINOv2 (Oquab et al. 2023) and DINOv3 (Siméoni et al. 2025): the class token
    after the last norm.
    """

    default_model = "facebook/dinov2-base"
    towers: ClassVar[dict[str, tuple[str, str]]] = {
        "dinov2": ("Dinov2Model", "pooler_output"),
        "dinov3_vit": ("DINOv3ViTModel", "pooler_output"),
    }


class Dino3Encoder(DinoEncoder):
    """DINOv3 by default; otherwise as DINOv2."""

    default_model = "facebook/dinov3-vitb16-pretrain-lvd1689m"


class ResNetEncoder(TransformerEncoder):
    """ResNet-50 (He et al. 2016): the globally averaged last stage, 2048 values."""

    default_model = "microsoft/resnet-50"
    convolutional = True
    towers: ClassVar[dict[str, tuple[str, str]]] = {"resnet": ("ResNetModel", "pooler_output")}


def _described_folder(file: Path) -> Path:
    """Return the folder of a weight file; raises StageError when it does not say what model it
    is.
    """
    folder = file.parent
    if is_open_clip(folder) or (folder / "config.json").is_file():
        return folder
    raise StageError(
        f"{file} has no configuration beside it, and its tensors alone do not say what model it "
        "is. Set the model to a folder that also holds config.json or open_clip_config.json, as "
        "`clustering-pipeline models pull` fetches it. OpenAI's .pt files of CLIP are programs and "
        "never opened: pull clip-vit-l-14 or clip-vit-b-32 instead."
    )


def _tower_configuration(configuration: Any) -> Any:
    """Return the image tower's part of a two-tower configuration, with the projection that both
    towers share.
    """
    tower = getattr(configuration, "vision_config", configuration)
    layers = getattr(tower, "num_hidden_layers", 0)
    if layers > MOST_LAYERS:
        raise StageError(
            f"config.json says that the image tower has {layers:,} layers, which no model has. "
            f"Pull the model again."
        )
    if hasattr(configuration, "projection_dim") and hasattr(tower, "projection_dim"):
        tower.projection_dim = configuration.projection_dim
    return tower


def _require_complete(place: Path, report: Mapping[str, Any]) -> None:
    """Refuse weights with holes: the library would fill them with random numbers."""
    wanting = [*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])]
    if wanting:
        raise StageError(
            f"The weights in {place} lack {len(wanting)} tensors of the image tower, or have them "
            f"in another shape ({', '.join(sorted(map(str, wanting))[:3])}, …). Pull the model "
            "again: the files are not complete."
        )
