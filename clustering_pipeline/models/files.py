"""Finds a model's files on this machine and tells what they are; never fetches anything."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models.cards import find_card

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".onnx")
CONFIGURATION_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "labels.json",
    "open_clip_config.json",
)
# The files that say what model a folder holds, in the layouts of transformers and of OpenCLIP.
MODEL_DESCRIPTIONS = ("config.json", "open_clip_config.json")
DIGESTS_FILE = ".digests.json"
READ_BYTES = 1 << 22


def locate_model(model: str, hardware: Hardware, setting: str) -> Path:
    """Return the folder or file that holds `model`: a path, a card's name, or a repository of the
    hub.

    Looked for as a path, then below the models folder, then in the hub's cache of this machine.
    `setting` is the name of the setting that chose the model, for the error. Raises StageError when
    the model is nowhere.
    """
    places = list(_places(model, hardware))
    for place in places:
        if place.is_file() or (place.is_dir() and any(weight_files(place))):
            return place
    looked = ", ".join(str(place) for place in places)
    card = find_card(model)
    can_pull = card is not None or model.count("/") == 1
    pull = (
        f"Run `clustering-pipeline models pull {card.name if card else model}` with a network, or "
        f"set"
        if can_pull
        else "Set"
    )
    raise StageError(
        f"The weights of {model!r} ({setting}) were not found; looked at {looked}. {pull} "
        f"{setting} to the path that holds them. The pipeline never puts another model in its "
        "place."
    )


def weight_files(folder: Path) -> Iterator[Path]:
    """Yield the weight files directly in `folder`; pickled twins of safetensors files are left
    out.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in WEIGHT_SUFFIXES and not path.name.startswith(".")
    )
    safe = [path for path in found if path.suffix == ".safetensors"]
    yield from safe or found


def model_digest(place: Path) -> str:
    """Return one sha256 over the weights and the configuration at `place`, a file or a folder.

    The digest of a large file is remembered beside it, under its size and modification time.
    """
    if place.is_file():
        return _remembered_digest(place)
    parts = [
        *weight_files(place),
        *(place / name for name in CONFIGURATION_FILES if (place / name).is_file()),
    ]
    content = [(path.name, _remembered_digest(path)) for path in parts]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_model_type(place: Path) -> str:
    """Return the `model_type` of a folder's config.json; raises StageError when it says none."""
    path = place / "config.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            f"{path} does not say what model it is ({error}). Pull the model again, or copy its "
            f"config.json there."
        ) from error


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _places(model: str, hardware: Hardware) -> Iterator[Path]:
    yield Path(model).expanduser()
    if Path(model).is_absolute():
        return
    card = find_card(model)
    folder_name = card.folder_name if card else model.replace("/", "--")
    if hardware.models_folder is not None and "/" not in folder_name and ".." not in folder_name:
        yield from _file_or_folder(hardware.models_folder / folder_name)
    yield from cached_snapshots(card.source if card else model, card.revision if card else "")


def _file_or_folder(folder: Path) -> Iterator[Path]:
    described = any((folder / name).exists() for name in MODEL_DESCRIPTIONS)
    single = list(weight_files(folder)) if folder.is_dir() and not described else []
    yield single[0] if len(single) == 1 else folder


def cached_snapshots(repository: str, revision: str) -> Iterator[Path]:
    """Yield the snapshots of a repository in the hub's cache of this machine: the commit that its
    card names, then the main branch as it was last asked for.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return
    for commit in (revision, "main") if revision else ("main",):
        for description in MODEL_DESCRIPTIONS:
            try:
                found = try_to_load_from_cache(repository, description, revision=commit)
            except HFValidationError:
                return
            if isinstance(found, str):
                yield Path(found).parent


def remembered(folder: Path, entry: str, make: Callable[[], str]) -> str:
    """Return what `make` returned when `entry` was first asked for beside the weights in
    `folder`.
    """
    path = folder / DIGESTS_FILE
    known = _read_remembered(path)
    if entry not in known:
        known[entry] = make()
        _remember(path, known)
    return known[entry]


def _remembered_digest(path: Path) -> str:
    status = path.stat()
    return remembered(
        path.parent, f"{path.name}:{status.st_size}:{status.st_mtime_ns}", lambda: file_digest(path)
    )


def _read_remembered(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # What was remembered saves time only.
        return {}
    return (
        {str(entry): str(value) for entry, value in known.items()}
        if isinstance(known, dict)
        else {}
    )


def _remember(remembered: Path, known: dict[str, str]) -> None:
    try:
        partial = remembered.with_suffix(".partial")
        partial.write_text(json.dumps(known))
        partial.replace(remembered)
    except PermissionError:
        # A read-only models folder costs only the time of hashing again.
        return
