"""Runs a torch model over batches of one shape; half the batch when the device's memory is full."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.errors import StageError

if TYPE_CHECKING:
    import torch

Forward = Callable[["torch.Tensor"], "torch.Tensor"]
# Rows that a processor takes at once. A setting must not change it, because the number of rows changes the last bits of each.
PROCESSOR_ROWS = 8


class BatchRunner:
    """Feeds arrays to a forward function on one device, always as many rows at once, the last ones beside zeros.

    On a processor a row's bits depend on that row alone: not on `batch_size`, not on its neighbours, not on its place among
    them. Libraries choose their kernels by shape, and most give equal bits at every place of one shape; the runner tries it
    once per model, and takes one row at a time where they do not. On a GPU the rows are `batch_size` until memory is full; then
    the last bits may change, within the precision of the device.
    """

    def __init__(self, forward: Forward, device: str, batch_size: int) -> None:
        """`forward` maps a (batch, …) tensor on `device` to a (batch, dimension) tensor."""
        self.forward = forward
        self.device = device
        self.batch_size = PROCESSOR_ROWS if device == "cpu" else batch_size
        self._is_tried = device != "cpu"

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 rows for the rows of `inputs`; raises StageError when a single row does not fit in memory."""
        if len(inputs) and not self._is_tried:
            self._is_tried = True
            self.batch_size = self.batch_size if self._place_is_neutral(inputs) else 1
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

    def _place_is_neutral(self, inputs: NDArray[Any]) -> bool:
        """Return whether rows of noise have equal bits in the opposite order."""
        noise = np.random.default_rng(0).integers(0, 256, (self.batch_size, *inputs.shape[1:])).astype(inputs.dtype)
        forth, back = self._try_batch(noise), self._try_batch(noise[::-1])
        return forth is not None and back is not None and np.array_equal(forth[::-1], back)

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
