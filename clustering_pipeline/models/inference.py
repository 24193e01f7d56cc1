"""Running a model: device, precision and batches, and the library that most models are loaded
with.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError

if TYPE_CHECKING:
    import torch


Forward = Callable[["torch.Tensor"], "torch.Tensor"]
# Rows that a processor takes at once. A setting must not change it, because the number of rows
# changes the last bits of each.
PROCESSOR_ROWS = 8


class BatchRunner:
    """Feeds arrays to a forward function on one device, always as many rows at once, the last ones
    beside zeros.

    On a processor a row's bits depend on that row alone when `batch_size` comes from
    `processor_rows`. On a GPU the batch halves when memory is full; then the last bits may change,
    within the precision of the device.
    """

    def __init__(self, forward: Forward, device: str, batch_size: int) -> None:
        """`forward` maps a (batch, …) tensor on `device` to a (batch, dimension) tensor."""
        self.forward = forward
        self.device = device
        self.batch_size = batch_size

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 rows for the rows of `inputs`; raises StageError when a single row does
        not fit in memory.
        """
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
                f"A single picture does not fit into the memory of {self.device}. Choose a smaller "
                "model, set compute.precision to bf16 or fp16, or compute.device to cpu."
            )
        self.batch_size //= 2
        if self.device == "cuda":
            torch.cuda.empty_cache()


def processor_rows(forward: Forward, row_shape: tuple[int, ...]) -> int:
    """Return how many uint8 rows a processor takes at once so that each row has the same bits
    whatever the others are: 8, or 1.

    Libraries choose their kernels by shape, and most give equal bits at every place of one shape.
    That is tried with noise in two orders; where it is not so, rows go in one by one.
    """
    runner = BatchRunner(forward, "cpu", PROCESSOR_ROWS)
    noise = np.random.default_rng(0).integers(0, 256, (PROCESSOR_ROWS, *row_shape), np.uint8)
    return PROCESSOR_ROWS if np.array_equal(runner(noise)[::-1], runner(noise[::-1])) else 1


def processor_kernels() -> str:
    """Return what decides which kernels torch takes on this processor."""
    import torch

    return (
        f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()} "
        f"{torch.get_num_threads()} threads"
    )


def torch_type(precision: str) -> "torch.dtype":
    """Return the torch type of "bf16", "fp16" or "fp32"."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def quiet_transformers() -> Any:
    """Return Hugging Face transformers, silent but for errors: its notes and progress bars would
    mix with the run's own.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
