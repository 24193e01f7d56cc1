"""A category made ready to be searched by the stages themselves, without a run around them."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

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
from clustering_pipeline.outputs.search import QuerySettings, build_index
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import PipelineSettings
from clustering_pipeline.stages import clustering, detection, embedding, features, matching
from clustering_pipeline.stages.deduplication import clean_stage, semantic_stage
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
    tables = CategoryTables(
        category=slug,
        display_name=slug,
        **{name: frame for name, frame in frames.items() if name != "english_prompts"},
    )
    listings = [
        listing for listing in read_listings(tables) if listing.status in ("clustered", "no_match")
    ]
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    return Prepared(project, slug, listings, {name: labels[name] for name in names}, files)


def _frames(project: Project, slug: str, pictures: list[Path]) -> dict[str, pd.DataFrame]:
    settings, context = PipelineSettings(), project.context(slug, logging.getLogger(__name__))
    digests = [context.blobs.put(path.read_bytes()) for path in pictures]
    frames = {
        **_listed(pictures, digests),
        "english_prompts": empty(ENGLISH_PROMPTS),
        "corrections": empty(CORRECTIONS),
    }
    frames["crops"] = detection.run(
        raw_images=frames["raw_images"],
        english_prompts=frames["english_prompts"],
        catalogue=frames["catalogue"],
        settings=settings.crops,
        context=context,
    ).manifest
    frames["clean_images"] = clean_stage.run(
        crops=frames["crops"],
        raw_images=frames["raw_images"],
        overruled_pictures=empty(OVERRULED_PICTURES),
        settings=settings.clean_images,
        context=context,
    ).manifest
    frames["local_features"] = features.run(
        clean_images=frames["clean_images"], settings=settings.local_features, context=context
    ).manifest
    frames["embeddings"] = embedding.run(
        clean_images=frames["clean_images"],
        local_features=frames["local_features"],
        settings=settings.embeddings,
        context=context,
    ).manifest
    frames["semantic_duplicates"] = semantic_stage.run(
        embeddings=frames["embeddings"],
        clean_images=frames["clean_images"],
        overruled_pictures=empty(OVERRULED_PICTURES),
        embedding_settings=settings.embeddings,
        settings=settings.semantic_duplicates,
        filter_settings=settings.clean_images,
        context=context,
    ).manifest
    matches = settings.matches.model_copy(update={"text": False})
    order = (
        "embeddings",
        "local_features",
        "clean_images",
        "crops",
        "raw_images",
        "catalogue",
        "semantic_duplicates",
    )
    frames["matches"] = matching.run(
        **{name: frames[name] for name in order}, settings=matches, context=context
    ).manifest
    order = (
        "catalogue",
        "raw_images",
        "crops",
        "clean_images",
        "semantic_duplicates",
        "embeddings",
        "matches",
        "corrections",
    )
    frames["clusters"] = clustering.run(
        **{name: frames[name] for name in order}, settings=settings.clusters, context=context
    ).manifest
    order = (
        "embeddings",
        "clusters",
        "catalogue",
        "crops",
        "raw_images",
        "clean_images",
        "local_features",
    )
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    build_index(
        **{name: frames[name] for name in order},
        settings=settings.search,
        files=files,
        query=QuerySettings(),
    )
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
