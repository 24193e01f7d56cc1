"""Weights of the architectures that have one size only, filled with noise instead of training."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from clustering_pipeline_tests.stages.detection.test_neural import tiny_faster_rcnn

if TYPE_CHECKING:
    import torch


def tiny_autoencoder(folder: Path) -> Path:
    """What `train autoencoder` writes after one epoch on plain noise."""
    import numpy as np

    from clustering_pipeline.core.hardware import Hardware
    from clustering_pipeline.core.progress import SilentProgress
    from clustering_pipeline.stages.embedding import Training, train_autoencoder

    crops = list(np.random.default_rng(0).integers(0, 256, (8, 40, 40, 3), dtype=np.uint8))
    train_autoencoder(
        crops, folder, Training(dimension=8, epochs=1), Hardware(device="cpu"), SilentProgress()
    )
    return folder


def tiny_resnet_ibn(path: Path) -> Path:
    import torch

    from clustering_pipeline.stages.embedding.towers import resnet50_ibn

    torch.manual_seed(0)
    torch.save(
        {
            "state_dict": {
                f"module.{name}": value for name, value in resnet50_ibn().state_dict().items()
            }
        },
        path,
    )
    return path


def tiny_vgg(path: Path) -> Path:
    """Random tensors of the full shapes, each row the one before moved on by a number, which the
    format keeps small.
    """
    import torch
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = vgg16(weights=None).state_dict()
    torch.manual_seed(0)
    torch.save(
        {name: _moving(value.shape) for name, value in shapes.items()},
        path,
    )
    return path


def _moving(shape: "torch.Size") -> "torch.Tensor":
    import torch

    rows, columns = shape[0], math.prod(shape[1:])
    numbers = torch.randn(rows + columns - 1) / math.sqrt(columns)
    within_row = torch.empty(shape[1:], device="meta").stride()
    return numbers.as_strided(shape, (1, *within_row))


def certain_faster_rcnn(folder: Path) -> Path:
    """A Faster R-CNN that takes every anchor for a top: its heads have no weights, and a bias for
    class 1.
    """
    import torch

    place = tiny_faster_rcnn(folder)
    state = torch.load(place / "model.pth", weights_only=True)
    for name, value in state.items():
        if name.startswith(("rpn.head.", "roi_heads.box_predictor.")):
            value.zero_()
    state["roi_heads.box_predictor.cls_score.bias"][1] = 5
    torch.save(state, place / "model.pth")
    return place
