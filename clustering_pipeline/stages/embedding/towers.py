"""Image towers: CLIP, SigLIP, ViT, DINOv2, DINOv3 and ResNet of Hugging Face transformers, and
convolutional ones whose weights are plain state dictionaries: VGG-16 and ResNet-50 with
instance-batch normalisation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Half
from clustering_pipeline.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImagePreprocessing,
    build_open_clip_tower,
    fill,
    holds_siglip,
    is_open_clip,
    load_into,
    load_pretrained,
    load_state_dict,
    quiet_transformers,
    read_model_type,
    read_open_clip_preprocessing,
)
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.neural import BILINEAR, NeuralEncoder

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


class VggEncoder(NeuralEncoder):
    """VGG-16 (Simonyan and Zisserman 2015): the second fully connected layer after its ReLU, 4096
    values.
    """

    default_model = "vgg16"
    convolutional = True

    def preprocessing(self, _context: StageContext) -> ImagePreprocessing:
        """Return the published one: the shorter side to 256, the middle 224 × 224."""
        return ImagePreprocessing((256,), (224, 224), BILINEAR, IMAGENET_MEAN, IMAGENET_STD)

    def build(self, place: Path) -> "nn.Module":
        """Return the network down to its second fully connected layer."""
        import torch
        from torchvision.models import vgg16

        with torch.device("meta"):
            network = vgg16(weights=None)
        load_into(network, place)
        network.classifier = network.classifier[:5]
        trunk: nn.Module = network
        return trunk


class ResNetIbnEncoder(NeuralEncoder):
    """ResNet-50 with IBN-a blocks (Pan et al. 2018), as re-identification uses it: 2048 values out.

    The weights are the user's own, plain or of the strong baseline (Luo et al. 2019) or FastReID
    (He et al. 2020). Input, last stride, pooling and neck are those of the settings; the classifier
    is left out.
    """

    default_model = "resnet50-ibn"
    convolutional = True

    def preprocessing(self, _context: StageContext) -> ImagePreprocessing:
        """Return the whole crop at the settings' size, as re-identification is trained."""
        return ImagePreprocessing(
            self.settings.input_size, None, BILINEAR, IMAGENET_MEAN, IMAGENET_STD
        )

    def build(self, place: Path) -> "nn.Module":
        """Return the network without its classifier."""
        import torch
        from torch import nn

        state = load_state_dict(place)
        backbone = _below(state, _backbone(state, place))
        with torch.device("meta"):
            network = resnet50_ibn()
        fill(network, backbone, place)
        if self.settings.last_stride == 1:
            _keep_last_resolution(network)
        if self.settings.pooling == "gem":
            network.avgpool = _generalised_mean(_power(state))
        if not self.settings.neck:
            return network
        return nn.Sequential(network, _neck(state, place))


State = dict[str, "torch.Tensor"]
# Where the published training codes keep their backbone, "" for plain weights.
BACKBONES = ("", "backbone.", "base.", "model.backbone.", "model.base.", "model.")
NECKS = ("heads.bottleneck.0.", "heads.bnneck.", "bottleneck.", "model.bottleneck.")
POWERS = ("heads.pool_layer.p", "heads.pool_layer.0.p", "pool_layer.p", "global_pool.p", "gem.p")
USUAL_POWER = 3.0
CHANNELS = 2048


def _backbone(state: State, place: Path) -> str:
    """Return the prefix under which a checkpoint holds its backbone."""
    backbone = next((prefix for prefix in BACKBONES if f"{prefix}conv1.weight" in state), None)
    if backbone is None:
        raise StageError(
            f"The weights in {place} are of no ResNet-50: no conv1.weight is there, plain or below "
            f"{', '.join(BACKBONES[1:])}. Choose the encoder that the file was trained for."
        )
    return backbone


def _below(state: State, prefix: str) -> State:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def _keep_last_resolution(network: "nn.Module") -> None:
    """Take the stride out of the last stage, which no weight depends on."""
    for layer in (network.layer4[0].conv2, network.layer4[0].downsample[0]):  # type: ignore[index, union-attr]
        layer.stride = (1, 1)


def _power(state: State) -> float:
    power = next((state[name] for name in POWERS if name in state), None)
    return USUAL_POWER if power is None else float(power.reshape(-1)[0])


def _generalised_mean(power: float) -> "nn.Module":
    import torch
    from torch import nn

    class GeneralisedMean(nn.Module):
        """Pooling by the mean of a power (Radenović et al. 2018)."""

        def forward(self, features: "torch.Tensor") -> "torch.Tensor":
            """Return (n, channels, 1, 1) of (n, channels, height, width)."""
            pooled: torch.Tensor = (
                features.clamp(min=1e-6).pow(power).mean((2, 3), keepdim=True).pow(1 / power)
            )
            return pooled

    return GeneralisedMean()


def _neck(state: State, place: Path) -> "nn.Module":
    """Return the batch norm between the vector and the classifier."""
    from torch import nn

    prefix = next((one for one in NECKS if f"{one}running_mean" in state), None)
    if prefix is None:
        raise StageError(
            f"embeddings.neck: the weights in {place} hold no batch-norm neck, looked for below "
            f"{', '.join(NECKS)}. Set it to false."
        )
    neck = nn.BatchNorm1d(CHANNELS)
    tensors = _below(state, prefix)
    # The neck is trained without a shift, which some files leave out.
    tensors.setdefault("bias", tensors["running_mean"].new_zeros(CHANNELS))
    fill(neck, tensors, place)
    return neck


def resnet50_ibn() -> "nn.Module":
    """Return torchvision's ResNet-50 without classifier, its first norms in stages 1 to 3 split
    into instance and batch halves.
    """
    from torch import nn
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            block.bn1 = _instance_batch_norm(block.bn1.num_features)
    network.fc = nn.Identity()
    trunk: nn.Module = network
    return trunk


def _instance_batch_norm(planes: int) -> "nn.Module":
    import torch
    from torch import nn

    class InstanceBatchNorm(nn.Module):
        """The first half of the channels by instance, the rest by batch; the parameter names are
        those of the published weights.
        """

        def __init__(self) -> None:
            super().__init__()
            self.instance_planes = planes // 2
            self.IN = nn.InstanceNorm2d(self.instance_planes, affine=True)
            self.BN = nn.BatchNorm2d(planes - self.instance_planes)

        def forward(self, features: "torch.Tensor") -> "torch.Tensor":
            first, second = features[:, : self.instance_planes], features[:, self.instance_planes :]
            return torch.cat([self.IN(first.contiguous()), self.BN(second.contiguous())], 1)

    return InstanceBatchNorm()
