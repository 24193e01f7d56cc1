"""Loads weights and models without running code that a file brings along."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.files import weight_files, weights_of
from clustering_pipeline.models.inference import quiet_transformers

if TYPE_CHECKING:
    import torch
    from torch import nn


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
    found = list(weight_files(place))
    if len(found) != 1:
        raise StageError(
            f"{place} holds {len(found)} weight files where one is expected. Name the file itself "
            f"in the setting."
        )
    return found[0]


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
    given = {} if configuration is None else {"config": configuration}
    if not chosen or names & (_FOUND_BY_LIBRARY if safe else _FOUND_AS_PICKLED):
        model, report = model_class.from_pretrained(
            place,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=safe,
            weights_only=True,
            output_loading_info=True,
            **given,
            **options,
        )
    else:
        given.setdefault("config", model_class.config_class.from_pretrained(place))
        state = load_shards([place / name for name in chosen])
        model, report = model_class.from_pretrained(
            None, state_dict=state, output_loading_info=True, **given, **options
        )
    return model, report
