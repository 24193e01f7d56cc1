"""Runs a torch model over batches: one shape per batch, half the batch when the device's memory is full."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.errors import StageError

if TYPE_CHECKING:
    import torch

Forward = Callable[["torch.Tensor"], "torch.Tensor"]


class BatchRunner:
    """Feeds arrays to a forward function on one device.

    Every batch is padded to the same size, so that a row's result does not depend on how many rows happen to be left.
    """

    def __init__(self, forward: Forward, device: str, batch_size: int) -> None:
        """`forward` maps a (batch, …) tensor on `device` to a (batch, dimension) tensor."""
        self.forward = forward
        self.device = device
        self.batch_size = batch_size

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 rows for the rows of `inputs`; raises StageError when a single row does not fit in memory."""
        outputs = []
        start = 0
        while start < len(inputs):
            batch = inputs[start : start + self.batch_size]
            rows = self._try_batch(batch)
            if rows is None:
                self._halve()
                continue
            outputs.append(rows)
            start += len(batch)
        return np.concatenate(outputs) if outputs else np.empty((0, 0), np.float32)

    def _try_batch(self, batch: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return the batch's rows, or None when the device is out of memory."""
        import torch

        try:
            return self._run(batch)
        except torch.OutOfMemoryError:
            return None

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        padded = np.zeros((self.batch_size, *batch.shape[1:]), batch.dtype)
        padded[: len(batch)] = batch
        with torch.inference_mode():
            tensor = torch.from_numpy(padded).to(self.device, non_blocking=True)
            rows: NDArray[np.float32] = self.forward(tensor)[: len(batch)].float().cpu().numpy()
        return rows

    def _halve(self) -> None:
        import torch

        if self.batch_size == 1:
            raise StageError(
                f"A single picture does not fit into the memory of {self.device}. Choose a smaller model, set compute.precision "
                "to bf16 or fp16, or compute.device to cpu."
            )
        self.batch_size //= 2
        if self.device == "cuda":
            torch.cuda.empty_cache()


def torch_type(precision: str) -> "torch.dtype":
    """Return the torch type of "bf16", "fp16" or "fp32"."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
