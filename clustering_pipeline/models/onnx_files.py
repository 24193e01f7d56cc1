"""ONNX models, whose tensors may lie in files beside theirs."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models.files import model_digest, remembered

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


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
