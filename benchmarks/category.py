"""A category made ready to be searched by the stages themselves, without a run around them."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CORRECTIONS,
    ENGLISH_PROMPTS,
    MANIFESTS,
    OVERRULED_PICTURES,
    RAW_IMAGES,
    conform,
    empty,
)
from clustering_pipeline.outputs.report import CategoryTables, Listing, read_listings
from clustering_pipeline.outputs.search import QuerySettings, index_category
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import MatchSettings, PipelineSettings
from clustering_pipeline.stages.contract import STEPS
from clustering_pipeline.storage import FileTree


@dataclass(frozen=True)
class Prepared:
    """A finished category: its listings that have a picture, and the true group of each
    product_base_id.
    """

    project: Project
    slug: str
    listings: list[Listing]
    truth: dict[str, str]
    search_files: FileTree


def prepare_category(dataset: Path, home: Path, quick: bool = False) -> Prepared:
    """Take the photos of `labels.csv` in a data set through every stage up to the search index,
    text on packs unread.
    """
    with (dataset / "labels.csv").open(encoding="utf-8") as file:
        labels = {row["image"]: row["group"] for row in csv.DictReader(file)}
    names = sorted(labels)[: 60 if quick else None]
    project, slug = Project(PipelineHome(home).prepare()), dataset.name
    frames = _frames(project, slug, [dataset / "images" / name for name in names])
    for name, frame in frames.items():
        project.manifests.write(name, slug, frame, MANIFESTS[name])
    shown: dict[str, Any] = {
        name: frame for name, frame in frames.items() if name != "english_prompts"
    }
    tables = CategoryTables(category=slug, display_name=slug, **shown)
    listings = [
        listing for listing in read_listings(tables) if listing.status in ("clustered", "no_match")
    ]
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    return Prepared(project, slug, listings, {name: labels[name] for name in names}, files)


def _frames(project: Project, slug: str, pictures: list[Path]) -> dict[str, pd.DataFrame]:
    settings = PipelineSettings(matches=MatchSettings(text=False))
    context = project.context(slug, logging.getLogger(__name__))
    digests = [context.blobs.put(path.read_bytes()) for path in pictures]
    frames = {
        **_listed(pictures, digests),
        "english_prompts": empty(ENGLISH_PROMPTS),
        "corrections": empty(CORRECTIONS),
    }
    given = {"overruled_pictures": empty(OVERRULED_PICTURES)}
    for name, step in STEPS.items():
        if name not in frames and name != "offers":
            frames[name] = step.run(frames | given, settings, context).manifest
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    index_category(frames, QuerySettings.of(settings), settings.search, context, files)
    return frames


def _listed(pictures: list[Path], digests: list[str]) -> dict[str, pd.DataFrame]:
    numbers = np.arange(len(pictures))
    names = [path.name for path in pictures]
    rows = {
        "listing": numbers,
        "sheet": "labels",
        "sheet_row": numbers + 2,
        "product_base_id": names,
        "url_cell": names,
    }
    catalogue = pd.DataFrame(
        {
            **rows,
            "urls": [[name] for name in names],
            "title": None,
            "usable": True,
            "reason": None,
            "extra": "{}",
        }
    )
    blank = pd.DataFrame(
        {name: [None] * len(pictures) for name in RAW_IMAGES.schema.names}, dtype=object
    )
    raw = blank.assign(listing=numbers, position=0, url=names, image_sha256=digests, status="ok")
    return {
        "catalogue": conform(catalogue[CATALOGUE.schema.names], CATALOGUE),
        "raw_images": conform(raw, RAW_IMAGES),
    }
