"""Loads weights and models without running code that a file brings along.

The tensors of a PyTorch checkpoint are read without PyTorch. Both formats of `torch.save` are read:
the zip archive since 1.6 (a pickle and a file per storage), and the older one (five pickles, then
the storages one after another). The pickles may name ordered dictionaries, tensors and plain
storages, nothing else.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.files import weight_files, weights_of
from clustering_pipeline.models.inference import quiet_transformers

if TYPE_CHECKING:
    import torch
    from torch import nn

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
    storages = {tensor.storage.key: tensor.storage for tensor in _named_tensors(state).values()}
    values: dict[str, NDArray[Any]] = {}
    for key in keys:
        if key not in storages:
            raise _RefusedError("it holds a storage that no tensor uses")
        count = int.from_bytes(stream.read(8), "little")
        if count != storages[key].count:
            raise _RefusedError("a storage has another size than its tensors say")
        values[key] = _values(stream.read(count * storages[key].dtype.itemsize), storages[key])
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


def load_state_dict(
    place: Path, wanted: Callable[[str], bool] | None = None
) -> "dict[str, torch.Tensor]":
    """Return the tensors of a safetensors file, or of a pickled checkpoint that holds nothing but
    tensors.

    `place` is the file, or a folder with exactly one weight file. Training wrappers ("state_dict",
    "model", "module.") are taken off. `wanted` says by name which tensors are read; those of
    safetensors stay on the disk until they are used. Raises StageError when the file is damaged or
    would run code.
    """
    path = _single_file(place)
    try:
        state = _read(path, wanted)
    except Exception as error:
        raise StageError(
            f"The weights in {path} cannot be loaded: {loading_problem(error)}. Only safetensors "
            "files, and pickled checkpoints that hold plain tensors, are read; convert the file "
            "with `safetensors.torch.save_file`, or pull the model again."
        ) from error
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_shards(
    files: Sequence[Path], wanted: Callable[[str], bool] | None = None
) -> "dict[str, torch.Tensor]":
    """Return the tensors of several weight files together, as `load_state_dict`."""
    return {name: value for file in files for name, value in load_state_dict(file, wanted).items()}


def loading_problem(error: Exception) -> str:
    """Return in words why a library could not load weights.

    The library's own advice would be to switch its safety off, or to look at a log that is not
    shown.
    """
    if isinstance(error, UnpicklingError):
        return (
            "it is a pickled file with more in it than tensors, which could run code, and was "
            "not opened"
        )
    if "TorchScript" in str(error):
        return (
            "it is a TorchScript program, as OpenAI publishes its CLIP models, and was not opened "
            "because a program can run code. The same weights are there as `clustering-pipeline "
            "models pull clip-vit-l-14` and clip-vit-b-32"
        )
    if "ignore_mismatched_sizes" in str(error):
        return "config.json describes tensors of other shapes than the weights hold"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def load_into(model: "nn.Module", place: Path) -> None:
    """Put the tensors at `place` into `model`; as `fill`."""
    fill(model, load_state_dict(place), place)


def fill(model: "nn.Module", state: "dict[str, torch.Tensor]", place: Path) -> None:
    """Put tensors that were read from `place` into `model`; raises StageError that names those that
    are missing or do not fit.

    `model` may be built on the meta device, which saves the time of random numbers nobody needs.
    Tensors that the model does not use (a classifier's head) are left out.
    """
    import torch

    expected = model.state_dict()
    missing = [
        name for name in expected if name not in state and not name.endswith("num_batches_tracked")
    ]
    misshapen = [
        name
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or misshapen:
        raise StageError(
            f"The weights in {place} are not of this model: {_some(missing)} missing, "
            f"{_some(misshapen)} of another shape. Choose the encoder that the file was trained "
            "for."
        )
    batches = {
        name: torch.zeros((), dtype=torch.long)
        for name in expected
        if name.endswith("num_batches_tracked")
    }
    model.load_state_dict(
        {**batches, **{name: state[name] for name in expected if name in state}}, assign=True
    )
    _materialise_positions(model)


def _materialise_positions(model: "nn.Module") -> None:
    """Count out the position numbers, the one kind of tensor that a model keeps and no file
    holds.
    """
    import torch

    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta and name == "position_ids":
                setattr(module, name, torch.arange(buffer.shape[-1]).expand(buffer.shape))


def _single_file(place: Path) -> Path:
    if place.is_file():
        return place
    if not place.is_dir():
        raise StageError(f"{place} is not there. Pull the model again.")
    files = list(weight_files(place))
    if len(files) != 1:
        raise StageError(
            f"{place} holds {len(files)} weight files where one is expected. Name the file itself "
            f"in the setting."
        )
    return files[0]


def _read(path: Path, wanted: Callable[[str], bool] | None) -> "dict[str, torch.Tensor]":
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as tensors:
            names = list(tensors.keys())
            return {
                name: tensors.get_tensor(name) for name in names if wanted is None or wanted(name)
            }
    import torch

    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in ("state_dict", "model"):
        content = content.get(wrapper, content)
    return {name: value for name, value in content.items() if wanted is None or wanted(name)}


def _some(names: list[str]) -> str:
    return (
        f"{len(names)} tensors ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        if names
        else "none"
    )


# Files that the library finds by itself.
_FOUND_BY_LIBRARY = {"model.safetensors", "model.safetensors.index.json"}
_FOUND_AS_PICKLED = {"pytorch_model.bin", "pytorch_model.bin.index.json"}


def load_pretrained(
    class_name: str, place: Path, configuration: Any = None, **options: Any
) -> tuple[Any, Mapping[str, Any]]:
    """Return the model of a class of transformers with the weights in `place`, and the library's
    report of what is missing.

    Nothing is fetched and no code of the folder runs. Safetensors come before pickled weights,
    which are opened only as plain tensors. Shards without an index, as some repositories publish
    them, are read by their tensors' names.
    """
    names = {path.name for path in place.iterdir()}
    chosen = weights_of(names)
    safe = bool(chosen) and chosen[0].endswith(".safetensors")
    model_class = getattr(quiet_transformers(), class_name)
    configured = {} if configuration is None else {"config": configuration}
    if not chosen or names & (_FOUND_BY_LIBRARY if safe else _FOUND_AS_PICKLED):
        model, report = model_class.from_pretrained(
            place,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=safe,
            weights_only=True,
            output_loading_info=True,
            **configured,
            **options,
        )
    else:
        configured.setdefault("config", model_class.config_class.from_pretrained(place))
        state = load_shards([place / name for name in chosen])
        model, report = model_class.from_pretrained(
            None, state_dict=state, output_loading_info=True, **configured, **options
        )
    return model, report
