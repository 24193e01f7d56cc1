"""Which device the neural models run on, in which precision, and where their files are.

Hardware changes speed only: a device that was asked for and is missing is an error, never a silent
change of model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clustering_pipeline.core.errors import StageError

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]


@dataclass(frozen=True)
class Hardware:
    """What the user asked for; `resolve_device` and `resolve_precision` say what this machine makes
    of it.
    """

    device: Device = "auto"
    precision: Precision = "auto"
    models_folder: Path | None = None


def resolve_device(hardware: Hardware) -> str:
    """Return "cuda", "mps" or "cpu"; raises StageError when the device asked for is not there."""
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if hardware.device == "auto":
        return next(device for device, there in present.items() if there)
    if not present[hardware.device]:
        raise StageError(
            f"compute.device is {hardware.device!r}, but this machine has no such device that "
            "torch can use. Set compute.device to auto or cpu, or check the driver with "
            "`clustering-pipeline doctor`."
        )
    return hardware.device


def resolve_precision(hardware: Hardware, device: str) -> str:
    """Return "bf16", "fp16" or "fp32"; by default the fastest that the device computes embeddings
    safely in.
    """
    if hardware.precision != "auto":
        return hardware.precision
    if device != "cuda":
        return "fp32"
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
