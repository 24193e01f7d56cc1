"""What the storage holds per category, and what nothing refers to any more."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clustering_pipeline.core.manifests import write_parquet
from clustering_pipeline.project.project import Project
from clustering_pipeline.storage import FileTree, layout, part_name

# The columns of manifests that name blobs.
BLOB_COLUMNS = ("image_sha256", "crop_sha256", "features", "mask")
# The assets whose facts name drawings, and how the names of such facts end.
MAKERS, DRAWING_SUFFIX = ("clean_images", "clusters"), "_svg"


@dataclass(frozen=True)
class StoredSize:
    """How much one category keeps in one part of the storage.

    Blobs that categories share count for each of them.
    """

    category: str
    part: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Unused:
    """Blobs that no manifest, record or feature table in force refers to."""

    digests: tuple[str, ...]
    bytes: int


def stored_sizes(project: Project) -> list[StoredSize]:
    """Return the sizes per category and part, the largest first."""
    sizes = dict(_sizes(project.blobs.files, ""))
    found = []
    for category in sorted({source.category for source in project.sources.all()}):
        for column, digests in _referred(project, [category]).items():
            held = [sizes[path] for path in map(project.blobs.path_of, digests) if path in sizes]
            found.append(StoredSize(category, column.removesuffix("_sha256"), len(held), sum(held)))
        outputs = [size for _, size in _sizes(project.outputs, category)]
        found.append(StoredSize(category, "outputs", len(outputs), sum(outputs)))
    return sorted(found, key=lambda size: (-size.bytes, size.category, size.part))


def find_unused(project: Project) -> Unused:
    """Return the blobs that no category refers to: pictures and crops of listings that are gone."""
    categories = project.manifests.categories()
    used = {digest for digests in _referred(project, categories).values() for digest in digests}
    used |= _drawings(project, categories)
    for source in project.sources.all():
        used |= {source.sha256, *source.options.values()}
    sizes = {path.rsplit("/", 1)[-1]: size for path, size in _sizes(project.blobs.files, "")}
    unused = sorted(digest for digest in sizes.keys() - used if len(digest) == 64)
    return Unused(tuple(unused), sum(sizes[digest] for digest in unused))


def remove_unused(project: Project, unused: Unused) -> None:
    """Remove blobs, and before them the cached rows that name them, so that a stage computes again
    what it needs again.
    """
    forget_rows(project, unused.digests)
    for digest in unused.digests:
        project.blobs.files.remove(project.blobs.path_of(digest))


def forget_rows(project: Project, digests: Collection[str]) -> None:
    """Remove the cached rows that name bytes which are gone."""
    gone, tables = pa.array(digests, pa.string()), project.files(layout.FEATURES)
    for path, _ in _sizes(tables, "") if digests else ():
        if path.endswith(".parquet"):
            _forget_rows(tables, path, gone)


def _forget_rows(tables: FileTree, path: str, gone: pa.Array) -> None:
    """Write a part again without the rows that name bytes which are gone; raises no error for a
    damaged one, which its reader sets aside.
    """
    try:
        table = pq.read_table(pa.BufferReader(tables.read(path)))
    except (pa.ArrowException, OSError):
        return
    texts = [
        name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)
    ]
    named = [pc.is_in(table[name], value_set=gone) for name in texts]
    kept = table.filter(pc.invert(reduce(pc.or_, named))) if named else table
    if len(kept) < len(table):
        content = write_parquet(kept)
        tables.write(f"{path.rsplit('/', 1)[0]}/{part_name(content)}", content)
        tables.remove(path)


def _referred(project: Project, categories: Iterable[str]) -> dict[str, set[str]]:
    digests: dict[str, set[str]] = {column: set() for column in BLOB_COLUMNS}
    for category in categories:
        for asset in ("raw_images", "crops", "clean_images", "local_features", "clusters"):
            frame = project.manifests.read(asset, category)
            for column in BLOB_COLUMNS:
                digests[column] |= _texts(frame, column)
    return digests


def _drawings(project: Project, categories: Iterable[str]) -> set[str]:
    """Return the blobs that facts name: what was drawn beside a result."""
    facts = (
        project.manifests.read_facts(asset, category) for asset in MAKERS for category in categories
    )
    return {
        str(value)
        for told in facts
        for name, value in told.items()
        if name.endswith(DRAWING_SUFFIX)
    }


def _texts(frame: pd.DataFrame | None, column: str) -> set[str]:
    return set(frame[column].dropna()) if frame is not None and column in frame else set()


def _sizes(files: FileTree, folder: str) -> Iterator[tuple[str, int]]:
    base = files.location("_").rsplit("/", 1)[0]
    start = f"{base}/{folder}".rstrip("/")
    if not files.filesystem.exists(start):
        return
    for path, entry in files.filesystem.find(start, detail=True).items():
        yield str(path).removeprefix(f"{base}/"), int(entry["size"])
