"""Keeps the storage whole and lean: what it holds per category, what nothing refers to any more,
and what a category needs that is gone, so that whatever names it is made again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clustering_pipeline.core.errors import PipelineError
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
    sizes = project.blobs.sizes()
    stored = []
    for category in sorted({source.category for source in project.sources.all()}):
        for column, digests in _referred(project, [category]).items():
            bytes_of_part = [sizes[digest] for digest in digests if digest in sizes]
            stored.append(
                StoredSize(
                    category, column.removesuffix("_sha256"), len(bytes_of_part), sum(bytes_of_part)
                )
            )
        outputs = [size for _, size in _sizes(project.outputs, category)]
        stored.append(StoredSize(category, "outputs", len(outputs), sum(outputs)))
    return sorted(stored, key=lambda size: (-size.bytes, size.category, size.part))


def find_unused(project: Project) -> Unused:
    """Return the blobs that no category refers to: pictures and crops of listings that are gone."""
    categories = project.manifests.categories()
    used = {digest for digests in _referred(project, categories).values() for digest in digests}
    used |= _drawings(project, categories)
    for source in project.sources.all():
        used |= {source.sha256, *source.options.values()}
    sizes = project.blobs.sizes()
    unused = sorted(sizes.keys() - used)
    return Unused(tuple(unused), sum(sizes[digest] for digest in unused))


def remove_unused(project: Project, unused: Unused) -> None:
    """Remove blobs, and before them the cached rows that name them, so that a stage computes again
    what it needs again.
    """
    forget_rows(project, unused.digests)
    project.blobs.remove(unused.digests)


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
    remaining = table.filter(pc.invert(reduce(pc.or_, named))) if named else table
    if len(remaining) < len(table):
        content = write_parquet(remaining)
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
        for facts_of_stage in facts
        for name, value in facts_of_stage.items()
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


# The columns of manifests that name stored bytes, by asset.
_BLOBS = {
    "raw_images": ("image_sha256",),
    "crops": ("mask",),
    "local_features": ("features",),
}
_GONE = "it names bytes that are gone"


def set_aside_false_manifests(project: Project, category: str, versions: Mapping[str, str]) -> None:
    """Set aside the manifests whose bytes are not those that were recorded when they were made.

    `versions`: the recorded sha256 by asset. A run that was killed between writing a manifest and
    recording it leaves such a one too.
    """
    for asset, version in versions.items():
        version_there = project.manifests.version(asset, category)
        if version_there is not None and version_there != version:
            project.manifests.set_aside(asset, category, "it is not the one that was recorded")


def mend(project: Project, category: str) -> bool:
    """Set aside the manifests and forget the cached rows that name lost bytes; returns whether
    there were any.

    Bytes that do not hash to their name were set aside by who tried to read them.
    """
    lost = [*_lost_sources(project, category), *_lost_results(project, category)]
    forget_rows(project, lost)
    return bool(lost)


def _lost_sources(project: Project, category: str) -> list[str]:
    """Return what is gone of the copies of the workbook or folder, and of the pictures in it, and
    copy them again; the stage that reads them says what cannot be had any more.
    """
    source = project.sources.load(category)
    digests = [source.sha256, *filter(None, [source.options.get("pictures")])]
    catalogue = project.manifests.read("catalogue", category)
    digests += [] if catalogue is None else _stored_pictures(catalogue)
    lost = [digest for digest in dict.fromkeys(digests) if not project.blobs.has(digest)]
    if lost:
        project.manifests.set_aside("catalogue", category, _GONE)
        with suppress(PipelineError):
            project.sources.record_again(source)
    return lost


def _stored_pictures(catalogue: pd.DataFrame) -> list[str]:
    from clustering_pipeline.stages.catalogue import stored_picture

    urls = catalogue["urls"].dropna().explode().dropna()
    return [digest for url in urls if (digest := stored_picture(str(url)))]


def _lost_results(project: Project, category: str) -> Iterator[str]:
    """Yield the digests of results that are gone, and set aside the manifests that name them."""
    named = {asset: _named(project, asset, category) for asset in (*_BLOBS, *MAKERS)}
    for asset, digests in named.items():
        lost = [digest for digest in digests if not project.blobs.has(digest)]
        if lost:
            project.manifests.set_aside(asset, category, _GONE)
            yield from lost


def _named(project: Project, asset: str, category: str) -> set[str]:
    """Return the stored bytes that an asset's manifest names, and the drawings beside it."""
    frame = project.manifests.read(asset, category) if asset in _BLOBS else None
    columns = [] if frame is None else [frame[column].dropna() for column in _BLOBS[asset]]
    facts = project.manifests.read_facts(asset, category)
    drawings = {str(value) for name, value in facts.items() if name.endswith(DRAWING_SUFFIX)}
    return drawings.union(*columns)
