"""The index on disk: a folder per version, and a small file that names the current one.

A version is written completely before it is named, so that a server that runs meanwhile sees the
old one or the new one.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.outputs.search.vectors import Vectors, VectorTable
from clustering_pipeline.storage import FileTree

CURRENT = "current.json"
VECTORS, LISTS, LISTINGS, CENTRES, ABOUT = (
    "vectors.npy",
    "lists.faiss",
    "listings.parquet",
    "centres.npy",
    "about.json",
)


@dataclass(frozen=True)
class IndexFiles:
    """The parts of an index in memory or mapped from disk."""

    table: VectorTable
    listings: pa.Table
    centres: Vectors
    about: dict[str, Any]


def write_index(files: FileTree, parts: IndexFiles) -> dict[str, bytes]:
    """Write a version, make it the current one, remove those before the last, and return the files
    by path.
    """
    contents = _contents(parts)
    version = hashlib.sha256(
        b"".join(hashlib.sha256(content).digest() for content in contents.values())
    ).hexdigest()[:24]
    paths = {f"{version}/{name}": content for name, content in contents.items()}
    for path, content in paths.items():
        files.write(path, content)
    before = current_version(files)
    files.write(CURRENT, json.dumps({"version": version, "files": sorted(contents)}).encode())
    _remove_old(files, {version, before})
    return paths


def current_version(files: FileTree) -> str | None:
    """Return the name of the version that searches should use; None before the first one."""
    if not files.exists(CURRENT):
        return None
    return str(json.loads(files.read(CURRENT))["version"])


def read_index(files: FileTree) -> IndexFiles:
    """Open the current version, memory-mapped where the files are local; raises StageError when
    there is none.
    """
    version = current_version(files)
    if version is None:
        raise StageError(
            f"There is no search index at {files.root}. Run the category, or materialise its "
            f"search_index, and search again."
        )
    lists = _open_lists(files, f"{version}/{LISTS}") if files.exists(f"{version}/{LISTS}") else None
    return IndexFiles(
        table=VectorTable(_open_array(files, f"{version}/{VECTORS}"), lists),
        listings=pq.read_table(io.BytesIO(files.read(f"{version}/{LISTINGS}"))),
        centres=_open_array(files, f"{version}/{CENTRES}"),
        about=json.loads(files.read(f"{version}/{ABOUT}")),
    )


def _contents(parts: IndexFiles) -> dict[str, bytes]:
    listings = io.BytesIO()
    pq.write_table(parts.listings, listings, compression="zstd")
    contents = {
        VECTORS: _array_bytes(parts.table.vectors),
        LISTINGS: listings.getvalue(),
        CENTRES: _array_bytes(parts.centres),
        ABOUT: json.dumps(parts.about, sort_keys=True, ensure_ascii=False).encode(),
    }
    if parts.table.lists is not None:
        contents[LISTS] = faiss.serialize_index(parts.table.lists).tobytes()
    return contents


def _array_bytes(array: Vectors) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _local_path(files: FileTree, path: str) -> Path | None:
    return Path(files.location(path)) if isinstance(files.filesystem, LocalFileSystem) else None


def _open_array(files: FileTree, path: str) -> Vectors:
    local = _local_path(files, path)
    array: Vectors = (
        np.load(local, mmap_mode="r", allow_pickle=False)
        if local
        else np.load(io.BytesIO(files.read(path)), allow_pickle=False)
    )
    return array


def _open_lists(files: FileTree, path: str) -> faiss.IndexIVFScalarQuantizer:
    local = _local_path(files, path)
    index = (
        faiss.read_index(str(local), faiss.IO_FLAG_MMAP)
        if local
        else faiss.deserialize_index(np.frombuffer(files.read(path), np.uint8))
    )
    assert isinstance(index, faiss.IndexIVFScalarQuantizer)
    return index


def _remove_old(files: FileTree, kept: set[str | None]) -> None:
    for name in files.list(""):
        if name not in kept and name != CURRENT:
            files.filesystem.rm(files.location(name), recursive=True)
