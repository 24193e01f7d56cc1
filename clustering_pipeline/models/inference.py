"""Running a model: devices, precision and batches, and the library that most models are loaded
with.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError

if TYPE_CHECKING:
    import torch


Forward = Callable[["torch.Tensor"], "torch.Tensor"]
Rows = NDArray[np.float32]
# Waits for rows that a device is computing.
Pending = Callable[[], Rows]
Result = TypeVar("Result")
# Rows that a processor takes at once. A setting must not change it, because the number of rows
# changes the last bits of each.
PROCESSOR_ROWS = 8
# More rows at once make no published tower faster on the largest GPUs, and the last batch slower.
_MOST_ROWS = 256
_TRIED_ROWS = 8
# The rest of the memory is for fragments and for what else uses the device.
_SHARE_OF_MEMORY = 0.6

# Weights this small change no float32 sum that is not as small itself.
_NO_WEIGHT = 1e-30


def without_subnormals(model: bytes) -> bytes:
    """Return a serialised ONNX model whose float32 weights below 1e-30 are 0.

    Training leaves such weights behind. Below 1.2e-38 they are subnormal numbers, which take many
    processors a hundred times as long as others.
    """
    import onnx
    from onnx import numpy_helper

    loaded = onnx.load_model_from_string(model)
    for weights in loaded.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(weights)
            tiny = (np.abs(values) < _NO_WEIGHT) & (values != 0)
            if tiny.any():
                cleaned = np.where(tiny, np.float32(0), values)
                weights.CopyFrom(numpy_helper.from_array(cleaned, weights.name))
    serialised: bytes = loaded.SerializeToString()
    return serialised


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
        self._copies: Any = None

    def __call__(self, inputs: NDArray[Any]) -> Rows:
        """Return float32 rows for the rows of `inputs`; raises StageError when a single row does
        not fit in memory.
        """
        return self.begin(list(inputs))()

    def begin(self, inputs: Sequence[NDArray[Any]]) -> Pending:
        """Start on rows of one shape and return what waits for their float32 rows.

        A CUDA device works on while the caller prepares what comes next; other devices are done
        when this returns. Raises StageError when a single row does not fit in memory.
        """
        pieces: list[Pending] = []
        start = 0
        while start < len(inputs):
            batch = inputs[start : start + self.batch_size]
            piece = within_memory(partial(self._begin, batch))
            if piece is None:
                self._halve()
                continue
            pieces.append(piece)
            start += len(batch)
        return partial(_gather, pieces)

    def _begin(self, batch: Sequence[NDArray[Any]]) -> Pending:
        import torch

        on_cuda = self.device.startswith("cuda")
        shape = (self.batch_size, *batch[0].shape)
        kind = torch.from_numpy(np.empty(0, batch[0].dtype)).dtype
        # Torch keeps pinned buffers for reuse until the copies that read them are done.
        rows = torch.empty(shape, dtype=kind, pin_memory=on_cuda)
        view = rows.numpy()
        np.stack(batch, out=view[: len(batch)])
        view[len(batch) :] = 0
        with torch.inference_mode():
            if on_cuda:
                return self._begin_on_cuda(rows, len(batch))
            vectors = self.forward(rows.to(self.device))[: len(batch)].float().cpu().numpy()
        return lambda: vectors

    def _begin_on_cuda(self, rows: "torch.Tensor", count: int) -> Pending:
        """Copy in beside the forward pass of the batch before, compute, and copy the rows back."""
        import torch

        with torch.cuda.device(self.device):
            if self._copies is None:
                self._copies = torch.cuda.Stream()
            with torch.cuda.stream(self._copies):
                inputs = rows.to(self.device, non_blocking=True)
            compute = torch.cuda.current_stream()
            compute.wait_stream(self._copies)
            inputs.record_stream(compute)
            vectors = self.forward(inputs)[:count].float()
            pinned = torch.empty(vectors.shape, dtype=torch.float32, pin_memory=True)
            pinned.copy_(vectors, non_blocking=True)
            done = compute.record_event()

        def wait() -> Rows:
            done.synchronize()
            copied: Rows = pinned.numpy().copy()
            return copied

        return wait

    def _halve(self) -> None:
        if self.batch_size == 1:
            raise StageError(
                f"A single picture does not fit into the memory of {self.device}. {FULL_MEMORY}"
            )
        self.batch_size //= 2
        free_memory()


class ParallelRunner:
    """Deals batches out to the same model on several devices, in turn; rows come back in order."""

    def __init__(self, runners: Sequence[BatchRunner]) -> None:
        self.runners = runners
        self._next = 0

    @property
    def batch_size(self) -> int:
        """Rows that keep one device busy."""
        return self.runners[0].batch_size

    @property
    def ahead(self) -> int:
        """How many batches are worth having under way while the next one is prepared: one for each
        device that works on its own.
        """
        return sum(runner.device.startswith("cuda") for runner in self.runners)

    def begin(self, inputs: Sequence[NDArray[Any]]) -> Pending:
        """Start on rows of one shape on the device whose turn it is; as `BatchRunner.begin`."""
        runner = self.runners[self._next]
        self._next = (self._next + 1) % len(self.runners)
        return runner.begin(inputs)


FULL_MEMORY = (
    "Choose a smaller model, set compute.precision to bf16 or fp16, end what else uses the device, "
    "or set compute.device to cpu."
)


def within_memory(work: Callable[[], Result]) -> Result | None:
    """Return what `work` returns, or None when the device is out of memory."""
    import torch

    try:
        return work()
    except torch.OutOfMemoryError:
        return None


def is_out_of_memory(error: Exception) -> bool:
    """Return whether torch says that a device is full."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def free_memory() -> None:
    """Give memory that no tensor holds any more back to the device and to other processes."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_on(device: str, load: Callable[[], Result], setting: str) -> Result:
    """Return what `load` puts on a device, trying again once its memory is cleared.

    Raises StageError that names `setting`, which chose the model, when it does not fit.
    """
    loaded = within_memory(load)
    if loaded is None:
        free_memory()
        loaded = within_memory(load)
    if loaded is None:
        free_memory()
        raise StageError(f"The model of {setting} does not fit into {device}. {FULL_MEMORY}")
    return loaded


def in_precision(device: str, precision: str) -> AbstractContextManager[Any]:
    """Return a context in which torch computes matrix products and convolutions in "bf16" or
    "fp16", and in fp32 what would lose by it.
    """
    import torch

    kind = torch_type(precision)
    if kind is torch.float32:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=kind)


def memory_rows(forward: Forward, device: str, row_shape: tuple[int, ...]) -> int:
    """Return how many uint8 rows a CUDA device takes at once: a power of two, as far as its free
    memory reaches, 256 at most.

    Eight rows are tried; what they need beyond the weights is what a row needs.
    """
    import torch

    allocated_before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    tried = BatchRunner(forward, device, _TRIED_ROWS)
    tried(np.zeros((_TRIED_ROWS, *row_shape), np.uint8))
    needed = (torch.cuda.max_memory_allocated(device) - allocated_before) / tried.batch_size
    free_memory()
    free, _ = torch.cuda.mem_get_info(device)
    fitting = int(free * _SHARE_OF_MEMORY / max(needed, 1))
    return min(_MOST_ROWS, 1 << max(fitting.bit_length() - 1, 0))


def _gather(pieces: Sequence[Pending]) -> Rows:
    rows = [piece() for piece in pieces]
    return np.concatenate(rows) if rows else np.empty((0, 0), np.float32)


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
