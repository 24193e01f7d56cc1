"""A model's files: which of a hub's repository make it up, where they are on this machine, and what
they are. Never fetches anything.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models.cards import find_card

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto

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
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in WEIGHT_SUFFIXES and not path.name.startswith(".")
    )
    safe = [path for path in paths if path.suffix == ".safetensors"]
    yield from safe or paths


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
                description_file = try_to_load_from_cache(repository, description, revision=commit)
            except HFValidationError:
                return
            if isinstance(description_file, str):
                yield Path(description_file).parent


def remembered(folder: Path, entry: str, make: Callable[[], str]) -> str:
    """Return what `make` returned when `entry` was first asked for beside the weights in
    `folder`.
    """
    path = folder / DIGESTS_FILE
    entries = _read_remembered(path)
    if entry not in entries:
        entries[entry] = make()
        _remember(path, entries)
    return entries[entry]


def _remembered_digest(path: Path) -> str:
    status = path.stat()
    return remembered(
        path.parent, f"{path.name}:{status.st_size}:{status.st_mtime_ns}", lambda: file_digest(path)
    )


def _read_remembered(path: Path) -> dict[str, str]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # What was remembered saves time only.
        return {}
    return (
        {str(entry): str(value) for entry, value in entries.items()}
        if isinstance(entries, dict)
        else {}
    )


def _remember(remembered: Path, entries: dict[str, str]) -> None:
    try:
        partial = remembered.with_suffix(".partial")
        partial.write_text(json.dumps(entries))
        partial.replace(remembered)
    except PermissionError:
        # A read-only models folder costs only the time of hashing again.
        return


# Beside the weights: configurations, tokenizers and labels. Code of a repository is never fetched.
COMPANIONS = ("*.json", "*.txt", "*.model")
INDEX = "{stem}.{suffix}.index.json"
# A repository often holds the same weights several times. The first layout that is there is taken:
# safetensors before pickled files, those of transformers before those of OpenCLIP.
LAYOUTS = (
    ("model", "safetensors"),
    ("open_clip_model", "safetensors"),
    ("pytorch_model", "bin"),
    ("open_clip_pytorch_model", "bin"),
)
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(?P<suffix>\w+)")


def files_to_pull(names: Iterable[str], listed: Sequence[str] = ()) -> list[str]:
    """Return which of a repository's files a model needs, sorted.

    `names` are the repository's files, those in folders left out; `listed` are patterns of those
    that the model's card names, none for a rule that fits every repository. Raises ValueError that
    says what is missing: any weights, or some of a set of shards.
    """
    top = sorted(name for name in names if "/" not in name)
    if listed:
        chosen = [name for name in top if any(fnmatchcase(name, one) for one in listed)]
        if weights_of(chosen):
            return chosen
    weights = weights_of(top)
    if not weights:
        raise ValueError("it holds no safetensors and no PyTorch weights")
    stem, suffix = _layout(weights[0])
    indexes = [name for name in top if name.endswith(".index.json")]
    own_index = INDEX.format(stem=stem, suffix=suffix)
    companions = {
        name
        for name in top
        if any(fnmatchcase(name, one) for one in COMPANIONS)
        and (name not in indexes or name == own_index)
    }
    return sorted({*weights, *companions})


def weights_of(names: Iterable[str]) -> list[str]:
    """Return the weight files of the first of `LAYOUTS` among `names`, one file or all shards of a
    set; raises ValueError for a set with holes.
    """
    files = set(names)
    for stem, suffix in LAYOUTS:
        if (single := f"{stem}.{suffix}") in files:
            return [single]
        shards = sorted(name for name in files if _layout(name) == (stem, suffix))
        if shards:
            _check_whole(shards)
            return shards
    return sorted(name for name in files if name.endswith(".safetensors"))


def _layout(name: str) -> tuple[str, str]:
    shard = _SHARD.fullmatch(name)
    if shard:
        return shard["stem"], shard["suffix"]
    stem, _, suffix = name.rpartition(".")
    return stem, suffix


def _check_whole(shards: Sequence[str]) -> None:
    counts = {shard["count"] for name in shards if (shard := _SHARD.fullmatch(name))}
    if {len(shards)} != {int(count) for count in counts}:
        raise ValueError(f"of the set of {', '.join(shards)} some files are missing")


def onnx_digest(model: Path) -> str:
    """Return the sha256 of an ONNX file, or one over it and the files that hold its tensors.

    Raises StageError when such a file is missing or lies outside the model's folder, or when the
    model cannot be read.
    """
    status = model.stat()
    entry = f"files of {model.name}:{status.st_size}:{status.st_mtime_ns}"
    names = json.loads(remembered(model.parent, entry, lambda: json.dumps(_tensor_files(model))))
    if not names:
        return model_digest(model)
    content = [model_digest(model), *((name, _digest_of(model, name)) for name in names)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _digest_of(model: Path, name: str) -> str:
    relative, place = PurePosixPath(name), model.parent / name
    if relative.is_absolute() or ".." in relative.parts or not place.is_file():
        raise StageError(
            f"{model} keeps weights in {name}, and there is no such file in its folder. Copy it "
            "beside the model, or export the model again into a single file."
        )
    return model_digest(place)


def _tensor_files(model: Path) -> list[str]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except DecodeError as error:
        raise StageError(
            f"{model} is no ONNX model that can be read ({error}). Export it again, or choose "
            "another encoder."
        ) from error
    return sorted({name for tensor in _tensors(graph) for name in _locations(tensor)})


def _tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        inner: Iterable[GraphProto] = (attribute.g, *attribute.graphs)
        for graph_within in inner:
            if graph_within.ByteSize():
                yield from _tensors(graph_within)


def _locations(tensor: "TensorProto") -> Iterator[str]:
    yield from (entry.value for entry in tensor.external_data if entry.key == "location")
