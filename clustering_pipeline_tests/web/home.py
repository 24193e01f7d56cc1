"""A home with one finished category of synthetic pictures: what `run` leaves behind, made by the
stages themselves.
"""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CORRECTIONS,
    ENGLISH_PROMPTS,
    MANIFESTS,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    conform,
    empty,
)
from clustering_pipeline.imaging import to_jpeg
from clustering_pipeline.outputs.prices import product_prices
from clustering_pipeline.outputs.report import CategoryTables, report_pages
from clustering_pipeline.outputs.search import QuerySettings, build_index
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.review import CorrectionStore
from clustering_pipeline.settings import (
    ClusterSettings,
    CropSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
    OfferSettings,
    ReportSettings,
    SearchSettings,
)
from clustering_pipeline.stages import clustering, detection, embedding, features, matching
from clustering_pipeline.stages.offers import PriceHistory, read_offers
from clustering_pipeline.synthetic import draw_products, photograph

SLUG, NAME = "kem-chong-nang", "Kem chống nắng"
PRODUCTS, SELLERS = 5, 4
MATCHING = MatchSettings(text=False)
# What matching and clustering both read.
PICTURES = ("catalogue", "raw_images", "crops", "clean_images", "semantic_duplicates", "embeddings")


def picture(product, seller, seed=0):
    """The JPEG of one seller's plain photograph of a product; both are numbers.

    Frames and stickers are left off: five products of four shops are too few to tell a shop's print
    from a product's.
    """
    return to_jpeg(photograph(draw_products(PRODUCTS, 3)[product], None, 100 * seller + seed), 88)


def make_home(folder):
    """Fill a home below `folder` and return its project; listing 4·p + s is product p as seller s
    lists it.
    """
    project = Project(PipelineHome(Path(folder)).prepare())
    context = project.context(SLUG, logging.getLogger("test"))
    images = [
        context.blobs.put(picture(p, s, seed=s)) for p in range(PRODUCTS) for s in range(SELLERS)
    ]
    workbook = Path(folder) / "catalogue.csv"
    workbook.write_text(
        "product_base_id,url_thumbnail\nP1,https://shop.example/1.jpg\n", encoding="utf-8"
    )
    project.sources.record(workbook, NAME)
    frames = _images(images)
    frames["crops"] = detection.run(
        raw_images=frames["raw_images"],
        english_prompts=frames["english_prompts"],
        catalogue=empty(CATALOGUE),
        settings=CropSettings(),
        context=context,
    ).manifest
    frames["clean_images"] = _all_kept(frames["crops"])
    frames["local_features"] = features.run(
        clean_images=frames["clean_images"], settings=LocalFeatureSettings(), context=context
    ).manifest
    frames["embeddings"] = embedding.run(
        clean_images=frames["clean_images"],
        local_features=frames["local_features"],
        settings=EmbeddingSettings(encoder="local"),
        context=context,
    ).manifest
    frames["semantic_duplicates"] = _each_its_own(frames["embeddings"])
    frames["corrections"] = empty(CORRECTIONS)
    frames["matches"] = matching.run(
        **{name: frames[name] for name in (*PICTURES, "local_features")},
        settings=MATCHING,
        context=context,
    ).manifest
    for name, frame in frames.items():
        project.manifests.write(name, SLUG, frame, MANIFESTS[name])
    keep_offers(project, frames["catalogue"])
    group_again(project)
    return project


def group_again(project):
    """Do what the next run does with corrections: group again, then write index and report."""
    context = project.context(SLUG, logging.getLogger("test"))
    names = (*PICTURES, "matches")
    frames = {name: project.manifests.read(name, SLUG) for name in (*names, "local_features")}
    stated = CorrectionStore(project.home.state / "corrections.sqlite").manifest(SLUG)
    clusters = clustering.run(
        **{name: frames[name] for name in names},
        corrections=stated,
        settings=ClusterSettings(),
        context=context,
    ).manifest
    project.manifests.write("corrections", SLUG, stated, CORRECTIONS)
    project.manifests.write("clusters", SLUG, clusters, MANIFESTS["clusters"])
    _write_outputs(project, frames, clusters, context)


def _write_outputs(project, frames, clusters, context):
    build_index(
        embeddings=frames["embeddings"],
        clusters=clusters,
        **{
            name: frames[name]
            for name in ("catalogue", "crops", "raw_images", "clean_images", "local_features")
        },
        settings=SearchSettings(),
        files=_below(project, "search"),
        query=QuerySettings(embeddings=EmbeddingSettings(encoder="local"), matches=MATCHING),
    )
    prices = product_prices(project.manifests.read("offers", SLUG), frames["catalogue"], clusters)
    tables = CategoryTables(
        category=SLUG, display_name=NAME, clusters=clusters, prices=prices, **frames
    )
    pages = report_pages(tables, {}, ReportSettings(), context, ("en", "vi"))
    project.files("outputs").write(f"{SLUG}/report.html", pages["en"])
    project.files("outputs").write(f"{SLUG}/report.vi.html", pages["vi"])


def _below(project, name):
    from clustering_pipeline.storage import FileTree

    return FileTree(f"{project.storage_root}/outputs/{SLUG}/{name}")


def _images(images):
    numbers = range(len(images))
    urls = [f"https://shop.example/{number}.jpg" for number in numbers]
    products = draw_products(PRODUCTS, 3)
    catalogue = pd.DataFrame(
        {
            "listing": numbers,
            "sheet": "Sheet1",
            "sheet_row": [number + 2 for number in numbers],
            "product_base_id": [f"P{number:03d}" for number in numbers],
            "url_cell": urls,
            "urls": [[url] for url in urls],
            "title": [
                f"{products[number // SELLERS].brand} {products[number // SELLERS].line}"
                for number in numbers
            ],
            "usable": True,
            "reason": None,
            "extra": [json.dumps(_offer(number)) for number in numbers],
        }
    )
    raw = pd.DataFrame(
        {name: [None] * len(images) for name in RAW_IMAGES.schema.names}, dtype=object
    )
    raw["listing"], raw["position"], raw["url"], raw["image_sha256"], raw["status"] = (
        numbers,
        0,
        urls,
        images,
        "ok",
    )
    return {
        "catalogue": conform(catalogue, CATALOGUE),
        "raw_images": conform(raw, RAW_IMAGES),
        "english_prompts": empty(ENGLISH_PROMPTS),
    }


def _offer(number, dearer=0):
    """What the row of a listing says of its offer; the last shop asks another price altogether."""
    product, shop = divmod(number, SELLERS)
    price = 100_000 * (product + 1) + 1_000 * shop + dearer
    return {
        "price": f"{price * (4 if shop == SELLERS - 1 else 1)}đ",
        "shop": f"Shop {shop} <b>",
        "link": f"https://shop.example/{number}",
    }


def keep_offers(project, catalogue):
    """Read the offers of the catalogue twice: a week ago, a little dearer, and now."""
    history = PriceHistory(project.blobs.files, SLUG)
    now = datetime(2026, 11, 28, tzinfo=UTC)
    for week in (1, 0):
        extra = [json.dumps(_offer(number, 5_000 * week)) for number in catalogue["listing"]]
        frame = conform(catalogue.assign(extra=extra), CATALOGUE)
        offers, _ = read_offers(frame, OfferSettings())
        history.keep(frame, offers, f"{week}" * 64, now - timedelta(weeks=week))
    project.manifests.write("offers", SLUG, offers, MANIFESTS["offers"])


def _all_kept(crops):
    frame = crops[
        ["crop_sha256", "image_sha256", "x0", "y0", "x1", "y1", "is_main"]
    ].drop_duplicates("crop_sha256")
    rest = {name: None for name in CLEAN_IMAGES.schema.names if name not in frame.columns}
    frame = frame.assign(**rest).assign(status="kept", keeper=frame["crop_sha256"])
    return conform(frame.astype(object).where(frame.notna(), None), CLEAN_IMAGES)


def _each_its_own(embeddings):
    crops = embeddings["crop_sha256"]
    frame = pd.DataFrame(
        {"crop_sha256": crops, "keeper": crops, "similarity": np.ones(len(crops)), "reason": None}
    )
    return conform(frame, SEMANTIC_DUPLICATES)
