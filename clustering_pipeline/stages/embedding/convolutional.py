"""Convolutional towers whose weights are plain state dictionaries: VGG-16 and ResNet-50 with
instance-batch normalisation.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImagePreprocessing,
    fill,
    load_into,
    load_state_dict,
)
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.neural import NeuralEncoder

if TYPE_CHECKING:
    import torch
    from torch import nn

BILINEAR = 2


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
