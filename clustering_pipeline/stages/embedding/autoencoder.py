"""A ResNet autoencoder, trained on a category's own crops, whose middle is the embedding.

The encoder is ResNet-18 (He et al. 2016) down to a vector; the decoder mirrors it with
nearest-neighbour upsampling and convolutions (Odena et al. 2016), and the loss is the mean squared
error of the pixels.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import Hardware, resolve_device
from clustering_pipeline.core.markup import draw, element, polyline
from clustering_pipeline.core.progress import Progress
from clustering_pipeline.imaging import Pixels
from clustering_pipeline.models import ImagePreprocessing, load_into
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding.neural import BILINEAR, NeuralEncoder

if TYPE_CHECKING:
    import torch
    from torch import nn

SIDE = 128
FEWEST_CROPS = 8
PREPROCESSING = ImagePreprocessing((SIDE, SIDE), None, BILINEAR, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Training:
    """How an autoencoder is trained; equal values on the same device and crops give equal
    weights.
    """

    dimension: int = 256
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0


class AutoencoderEncoder(NeuralEncoder):
    """The encoder half of a trained autoencoder; `embeddings.model` is the folder that `train
    autoencoder` wrote.
    """

    default_model = "autoencoder"
    convolutional = True

    def preprocessing(self, _context: StageContext) -> ImagePreprocessing:
        """Return the size and the scale that every autoencoder is trained with."""
        return PREPROCESSING

    def build(self, place: Path) -> "nn.Module":
        """Return the encoder half with the weights at `place`."""
        import torch

        with torch.device("meta"):
            encoder = encoder_network(_dimension(place))
        load_into(encoder, place)
        return encoder


def train_autoencoder(
    crops: Sequence[Pixels],
    folder: Path,
    training: Training,
    hardware: Hardware,
    progress: Progress,
) -> list[float]:
    """Train on RGB crops (h, w, 3), write the encoder, its configuration and the loss curve to
    `folder`, and return the loss per epoch.

    Raises InputError for fewer than 8 crops and StageError when torch is absent.
    """
    if len(crops) < FEWEST_CROPS:
        raise InputError(
            f"An autoencoder needs {FEWEST_CROPS} crops at least, and there are {len(crops)}. Run "
            f"the category first."
        )
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError as error:
        raise StageError(
            "Training an autoencoder needs torch: `uv sync --extra models`."
        ) from error

    device = resolve_device(hardware)
    torch.manual_seed(training.seed)
    encoder, decoder = (
        encoder_network(training.dimension).to(device),
        _decoder_network(training.dimension).to(device),
    )
    pixels = torch.from_numpy(PREPROCESSING(crops))
    with progress.track("Training the autoencoder", training.epochs, "epoch") as bar:
        losses = []
        for loss in _epochs(encoder, decoder, pixels, training, device):
            losses.append(loss)
            bar.advance()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous().cpu() for name, value in encoder.state_dict().items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(
        json.dumps({"model_type": "autoencoder", "dimension": training.dimension, "losses": losses})
    )
    (folder / "loss.svg").write_text(loss_curve(losses), encoding="utf-8")
    return losses


def encoder_network(dimension: int) -> "nn.Module":
    """Return ResNet-18 whose last layer gives `dimension` values."""
    from torch import nn
    from torchvision.models import resnet18

    network = resnet18(weights=None)
    network.fc = nn.Linear(network.fc.in_features, dimension)
    encoder: nn.Module = network
    return encoder


def loss_curve(losses: Sequence[float]) -> str:
    """Return an SVG picture of the loss per epoch."""
    width, height, margin = 640, 320, 48
    highest = max(losses) or 1.0
    steps = (
        np.linspace(margin, width - margin, len(losses))
        if len(losses) > 1
        else np.array([width / 2])
    )
    heights = height - margin - np.asarray(losses) / highest * (height - 2 * margin)
    span = f"mean squared error, {highest:.4f} at the top, {losses[-1]:.4f} at the end"
    parts = [
        element(
            "path",
            d=f"M{margin} {margin}V{height - margin}H{width - margin}",
            fill="none",
            stroke="#999",
        ),
        polyline(
            zip(steps.tolist(), heights.tolist(), strict=True), stroke="#2563eb", stroke_width=2
        ),
        element("text", span, x=margin, y=margin - 12, fill="#444"),
        element(
            "text",
            f"epoch {len(losses)}",
            x=width - margin,
            y=height - margin + 22,
            text_anchor="end",
            fill="#444",
        ),
    ]
    return draw(width, height, parts, font_size=13)


def _epochs(
    encoder: "nn.Module",
    decoder: "nn.Module",
    pixels: "torch.Tensor",
    training: Training,
    device: str,
) -> Iterator[float]:
    import torch

    optimiser = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=training.learning_rate
    )
    for epoch in range(training.epochs):
        order = torch.from_numpy(
            np.random.default_rng([training.seed, epoch]).permutation(len(pixels))
        )
        # A last batch of one picture would have no variance for the batch norms.
        batches = [batch for batch in order.split(training.batch_size) if len(batch) > 1]
        losses: list[float] = []
        for batch in batches:
            inputs = pixels[batch].to(device)
            loss = torch.nn.functional.mse_loss(decoder(encoder(inputs)), inputs)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        yield float(np.mean(losses))


def _decoder_network(dimension: int) -> "nn.Module":
    from torch import nn

    widths = (256, 128, 64, 32, 16)
    layers: list[nn.Module] = [
        nn.Linear(dimension, widths[0] * 16),
        nn.Unflatten(1, (widths[0], 4, 4)),
    ]
    for before, after in zip(widths, (*widths[1:], 16), strict=True):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 3, padding=1), nn.Tanh())


def _dimension(place: Path) -> int:
    path = (place if place.is_dir() else place.parent) / "config.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["dimension"])
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            f"{path} does not say the autoencoder's dimension ({error}). Train it again."
        ) from error
