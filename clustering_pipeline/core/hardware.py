"""Which devices the neural models run on, in which precision, and where their files are.

A device that was asked for and is missing is an error, never a silent change of model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clustering_pipeline.core.errors import StageError

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
Half = Literal["bf16", "fp16"]
# The NVIDIA driver of Linux lists its cards here, whether or not torch can use them.
NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Hardware:
    """What the user asked for; `resolve_device` and `resolve_precision` say what this machine makes
    of it.
    """

    device: Device = "auto"
    precision: Precision = "auto"
    models_folder: Path | None = None
    # Have torch compile the encoder; on CUDA only.
    compiles: bool = False


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


def resolve_devices(hardware: Hardware) -> list[str]:
    """Return every device of the kind that `resolve_device` chooses: "cuda:0", "cuda:1", …, or the
    one "mps" or "cpu".
    """
    import torch

    device = resolve_device(hardware)
    if device != "cuda":
        return [device]
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def resolve_precision(hardware: Hardware, device: str, half: Half = "bf16") -> Precision:
    """Return "bf16", "fp16" or "fp32".

    By default `half`, the short format that the model is safe in, on a CUDA device that computes in
    it, and fp32 elsewhere.
    """
    if hardware.precision != "auto":
        return hardware.precision
    if not device.startswith("cuda"):
        return "fp32"
    import torch

    if half == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp32"
    return half


def idle_card(hardware: Hardware, cards: Path = NVIDIA_CARDS) -> str:
    """Return why the NVIDIA card of this machine is not used when `auto` falls back to the
    processor; "" when it is used or there is none.
    """
    import torch

    listed = cards.is_dir() and any(cards.iterdir())
    if hardware.device != "auto" or torch.cuda.is_available() or not listed:
        return ""
    if torch.version.cuda is None:
        reason = f"torch {torch.__version__} is a build without CUDA"
        remedy = "install the build for CUDA, as pytorch.org says"
    else:
        reason = f"torch {torch.__version__} needs a driver for CUDA {torch.version.cuda}"
        remedy = "update the NVIDIA driver, or install torch for an older CUDA"
    return f"There is an NVIDIA GPU, but the model ran on the processor: {reason}; {remedy}."
