"""Convolutional towers whose weights are plain state dictionaries: VGG-16 and ResNet-50 with
instance-batch normalisation.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline.models import IMAGENET_MEAN, IMAGENET_STD, ImagePreprocessing, load_into
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
    """ResNet-50 with IBN-a blocks (Pan et al. 2018), as re-identification uses it: 256 × 256 in,
    2048 values out.

    The weights are the user's own; the classifier and the neck of a re-identification checkpoint
    are left out.
    """

    default_model = "resnet50-ibn"

    def preprocessing(self, _context: StageContext) -> ImagePreprocessing:
        """Return the whole crop at 256 × 256, as re-identification is trained."""
        return ImagePreprocessing((256, 256), None, BILINEAR, IMAGENET_MEAN, IMAGENET_STD)

    def build(self, place: Path) -> "nn.Module":
        """Return the network without its classifier."""
        import torch

        with torch.device("meta"):
            network = resnet50_ibn()
        load_into(network, place)
        return network


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
