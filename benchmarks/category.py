"""A category made ready to be searched by the stages themselves, without a run around them."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import CATALOGUE, CORRECTIONS, ENGLISH_PROMPTS, MANIFESTS, RAW_IMAGES, conform, empty
from clustering_pipeline.outputs.report import CategoryTables, Listing, read_listings
from clustering_pipeline.outputs.search import QuerySettings, build_index
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import PipelineSettings
from clustering_pipeline.stages.clustering import cluster_listings
from clustering_pipeline.stages.deduplication import clean_images, find_semantic_duplicates
from clustering_pipeline.stages.detection import detect_crops
from clustering_pipeline.stages.embedding import embed_crops
from clustering_pipeline.stages.features import extract_local_features
from clustering_pipeline.stages.matching import match_crops
from clustering_pipeline.storage import FileTree


@dataclass(frozen=True)
class Prepared:
    """A finished category: its listings that have a picture, and the true group of each product_base_id."""

    project: Project
    slug: str
    listings: list[Listing]
    truth: dict[str, str]
    search_files: FileTree


def prepare_category(dataset: Path, home: Path, quick: bool = False) -> Prepared:
    """Take the photos of `labels.csv` in a data set through every stage up to the search index, text on packs unread."""
    with (dataset / "labels.csv").open(encoding="utf-8") as file:
        labels = {row["image"]: row["group"] for row in csv.DictReader(file)}
    names = sorted(labels)[: 60 if quick else None]
    project, slug = Project(PipelineHome(home).prepare()), dataset.name
    frames = _frames(project, slug, [dataset / "images" / name for name in names])
    for name, frame in frames.items():
        project.manifests.write(name, slug, frame, MANIFESTS[name])
    tables = CategoryTables(
        category=slug, display_name=slug, **{name: frame for name, frame in frames.items() if name != "english_prompts"}
    )
    listings = [listing for listing in read_listings(tables) if listing.status in ("clustered", "no_match")]
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    return Prepared(project, slug, listings, {name: labels[name] for name in names}, files)


def _frames(project: Project, slug: str, pictures: list[Path]) -> dict[str, pd.DataFrame]:
    settings, context = PipelineSettings(), project.context(slug, logging.getLogger(__name__))
    digests = [context.blobs.put(path.read_bytes()) for path in pictures]
    frames = {**_listed(pictures, digests), "english_prompts": empty(ENGLISH_PROMPTS), "corrections": empty(CORRECTIONS)}
    frames["crops"] = detect_crops(frames["raw_images"], frames["english_prompts"], settings.crops, context).manifest
    frames["clean_images"] = clean_images(frames["crops"], frames["raw_images"], settings.clean_images, context).manifest
    frames["local_features"] = extract_local_features(frames["clean_images"], settings.local_features, context).manifest
    frames["embeddings"] = embed_crops(frames["clean_images"], frames["local_features"], settings.embeddings, context).manifest
    frames["semantic_duplicates"] = find_semantic_duplicates(
        frames["embeddings"],
        frames["clean_images"],
        settings.embeddings.encoder,
        settings.semantic_duplicates,
        settings.clean_images,
        context,
    ).manifest
    matches = settings.matches.model_copy(update={"text": False})
    order = ("embeddings", "local_features", "clean_images", "crops", "raw_images", "catalogue", "semantic_duplicates")
    frames["matches"] = match_crops(*(frames[name] for name in order), matches, context).manifest
    order = ("catalogue", "raw_images", "crops", "clean_images", "semantic_duplicates", "embeddings", "matches", "corrections")
    frames["clusters"] = cluster_listings(*(frames[name] for name in order), settings.clusters, context, slug).manifest
    order = ("embeddings", "clusters", "catalogue", "crops", "raw_images", "clean_images", "local_features")
    files = FileTree(f"{project.storage_root}/outputs/{slug}/search")
    build_index(*(frames[name] for name in order), settings.search, context, files=files, query=QuerySettings())
    return frames


def _listed(pictures: list[Path], digests: list[str]) -> dict[str, pd.DataFrame]:
    numbers = np.arange(len(pictures))
    names = [path.name for path in pictures]
    rows = {"listing": numbers, "sheet": "labels", "sheet_row": numbers + 2, "product_base_id": names, "url_cell": names}
    catalogue = pd.DataFrame(
        {**rows, "urls": [[name] for name in names], "title": None, "usable": True, "reason": None, "extra": "{}"}
    )
    blank = pd.DataFrame({name: [None] * len(pictures) for name in RAW_IMAGES.schema.names}, dtype=object)
    raw = blank.assign(listing=numbers, position=0, url=names, image_sha256=digests, status="ok")
    return {
        "catalogue": conform(catalogue[CATALOGUE.schema.names], CATALOGUE),
        "raw_images": conform(raw, RAW_IMAGES),
    }
