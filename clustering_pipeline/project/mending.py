"""What a category needs and the storage no longer has: whatever names it is made again."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

import pandas as pd

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.project.project import Project
from clustering_pipeline.project.storage_report import DRAWING_SUFFIX, MAKERS, forget_rows

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
        found = project.manifests.version(asset, category)
        if found is not None and found != version:
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
    kept = [source.sha256, *filter(None, [source.options.get("pictures")])]
    catalogue = project.manifests.read("catalogue", category)
    kept += [] if catalogue is None else _stored_pictures(catalogue)
    lost = [digest for digest in dict.fromkeys(kept) if not project.blobs.has(digest)]
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
