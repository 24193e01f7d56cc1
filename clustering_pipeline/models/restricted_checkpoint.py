"""Reads the tensors of a PyTorch checkpoint without PyTorch, and without running anything that the
file brings along.

Both formats of `torch.save` are read: the zip archive since 1.6 (a pickle and a file per storage),
and the older one (five pickles, then the storages one after another). The pickles may name ordered
dictionaries, tensors and plain storages, nothing else.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError

LARGEST_FILE = 1 << 30
LARGEST_PICKLE = 16 << 20
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_REMEDY = (
    "Install the package that holds the file again, or fetch it again from where it was published."
)
_TYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

Tensors = dict[str, NDArray[Any]]


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of the checkpoint at `path` by name, in the file's order.

    Raises StageError that says what is wrong when the file is missing, damaged, too large, or holds
    anything but named tensors.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise _RefusedError(
                f"it has {size:,} bytes, more than the {LARGEST_FILE:,} that are read"
            )
        content = path.read_bytes()
        return _from_zip(content) if content.startswith(b"PK") else _from_stream(content)
    except OSError as error:
        raise StageError(
            f"The weights in {path} cannot be read: {error.strerror or error}. {_REMEDY}"
        ) from error
    except _RefusedError as error:
        raise StageError(f"The weights in {path} were not read: {error}. {_REMEDY}") from error
    except Exception as error:
        # A damaged pickle fails in as many ways as there are opcodes.
        raise StageError(
            f"The weights in {path} are damaged ({type(error).__name__}: {error}). {_REMEDY}"
        ) from error


class _RefusedError(Exception):
    """What is wrong with a checkpoint, as the middle of a sentence."""


@dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a contiguous copy of the tensor's own part of its storage."""
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, values.dtype)
        last = self.offset + sum(
            (length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)
        )
        if last >= len(values) or math.prod(self.shape) > len(values):
            raise _RefusedError("a tensor is larger than its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, strides, writeable=False
        ).copy()


class _TensorUnpickler(pickle.Unpickler):
    """Knows ordered dictionaries, tensors and storages; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _TYPES:
            return _StorageType(_TYPES[name])
        raise _RefusedError(
            f"it is a pickled file with more in it than tensors ({module}.{name}), which could run "
            f"code"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        if (
            not isinstance(pid, tuple)
            or len(pid) not in (5, 6)
            or pid[0] != "storage"
            or (len(pid) == 6 and pid[5] is not None)
        ):
            raise _RefusedError("it refers to something that is no plain storage")
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, _StorageType) or not isinstance(key, str) or not _is_size(count):
            raise _RefusedError("the description of a storage is not one of PyTorch's")
        return _Storage(key, kind.dtype, count)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    sizes_known = (
        isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    )
    if (
        not isinstance(storage, _Storage)
        or not sizes_known
        or not all(map(_is_size, (offset, *shape, *strides)))
    ):
        raise _RefusedError("the description of a tensor is not one of PyTorch's")
    return _Tensor(storage, offset, shape, strides)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= LARGEST_FILE


def _from_zip(content: bytes) -> Tensors:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        names = [name for name in sizes if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1:
            raise _RefusedError("it is a zip archive, but not one that torch.save wrote")
        if sizes[names[0]] > LARGEST_PICKLE or sum(sizes.values()) > LARGEST_FILE:
            raise _RefusedError("its unpacked content is too large")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in sizes and archive.read(f"{folder}byteorder") != b"little":
            raise _RefusedError("it was written on a big-endian machine")

        def load(storage: _Storage) -> NDArray[Any]:
            return _values(archive.read(f"{folder}data/{storage.key}"), storage)

        return _resolve(_TensorUnpickler(io.BytesIO(archive.read(names[0]))).load(), load)


def _from_stream(content: bytes) -> Tensors:
    stream = io.BytesIO(content)
    if _TensorUnpickler(stream).load() != _MAGIC or _TensorUnpickler(stream).load() != _PROTOCOL:
        raise _RefusedError("it is no file that torch.save wrote")
    system = _TensorUnpickler(stream).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _RefusedError("it was written on a big-endian machine")
    state = _TensorUnpickler(stream).load()
    keys = _TensorUnpickler(stream).load()
    known = {tensor.storage.key: tensor.storage for tensor in _named_tensors(state).values()}
    values: dict[str, NDArray[Any]] = {}
    for key in keys:
        if key not in known:
            raise _RefusedError("it holds a storage that no tensor uses")
        count = int.from_bytes(stream.read(8), "little")
        if count != known[key].count:
            raise _RefusedError("a storage has another size than its tensors say")
        values[key] = _values(stream.read(count * known[key].dtype.itemsize), known[key])
    return _resolve(state, lambda storage: values[storage.key])


def _values(data: bytes, storage: _Storage) -> NDArray[Any]:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise _RefusedError(
            "it ends before its last tensor, or a storage has another size than its tensors say"
        )
    return np.frombuffer(data, storage.dtype)


def _resolve(state: Any, load: Callable[[_Storage], NDArray[Any]]) -> Tensors:
    return {
        name: tensor.view(load(tensor.storage)) for name, tensor in _named_tensors(state).items()
    }


def _named_tensors(state: Any) -> Mapping[str, _Tensor]:
    if not isinstance(state, dict) or not state:
        raise _RefusedError("it holds no dictionary of tensors")
    if not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in state.items()
    ):
        raise _RefusedError("its dictionary holds more than named tensors")
    return state
