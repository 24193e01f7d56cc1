"""Searching: nearest vectors among 100,000, whole requests with a picture, fifty at once, and how
often the product is found.

The 100,000 vectors are real CLIP embeddings of a fashion catalogue, enlarged by seeded noise around
its rows.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import faiss
import httpx
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.category import Prepared, prepare_category
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.pages import served
from clustering_pipeline.imaging import load_image
from clustering_pipeline.outputs.report import Listing
from clustering_pipeline.outputs.search import Mode, PictureSearch, SearchIndex
from clustering_pipeline.outputs.search.index import VectorTable, build_lists
from clustering_pipeline.settings import SearchSettings

NEAREST = 10


def run(options: Options) -> list[Figure]:
    """Measure vectors first, then the real photos of the storefront set."""
    figures = _vectors(options)
    try:
        figures += _pictures(options)
    except SuiteUnavailableError:
        if not figures:
            raise
    return figures


def enlarged(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return `count` unit vectors: random rows of a unit matrix with noise of half their length,
    float32.
    """
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(count, rows.shape[1])).astype(np.float32) * np.float32(
        0.5 / np.sqrt(rows.shape[1])
    )
    vectors = rows[generator.integers(0, len(rows), count)] + noise
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _vectors(options: Options) -> list[Figure]:
    rows = np.load(options.dataset("clip_embeddings") / "image_embeddings.npy").astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    count = 25_000 if options.quick else 100_000
    vectors, queries = enlarged(rows, count, 1), enlarged(rows, 1000, 2)
    settings, started = SearchSettings(), time.perf_counter()
    table = VectorTable(vectors, build_lists(vectors, settings.recall, settings.seed))
    built = time.perf_counter() - started
    _, truth = faiss.knn(queries, vectors, NEAREST, metric=faiss.METRIC_INNER_PRODUCT)
    found, seconds = _answers(queries, lambda query: table.nearest(query, NEAREST).rows)
    exact, exact_seconds = _answers(
        queries[:100], lambda query: VectorTable(vectors).nearest(query, NEAREST).rows
    )
    within, within_seconds = _cluster_mode(vectors, rows, queries)
    title = f"{count:,} × {vectors.shape[1]} vectors"
    return [
        Figure(f"{title}: search, median", 1e3 * float(np.median(seconds)), "ms", 5.0, "at most"),
        Figure(
            f"{title}: search, 95th percentile",
            1e3 * float(np.percentile(seconds, 95)),
            "ms",
            15.0,
            "at most",
        ),
        Figure(f"{title}: recall@10 against exact", _recall(found, truth), "", 0.98),
        Figure(
            f"{title}: comparing all, median",
            1e3 * float(np.median(exact_seconds)),
            "ms",
            note="the exact peer",
        ),
        Figure(f"{title}: comparing all, recall@10", _recall(exact, truth[:100])),
        Figure(f"{title}: mode cluster, median", 1e3 * float(np.median(within_seconds)), "ms"),
        Figure(f"{title}: mode cluster, recall@10 against exact", _recall(within, truth)),
        Figure(f"{title}: building the lists", built, "s"),
    ]


def _answers(
    queries: np.ndarray, search: Callable[[np.ndarray], np.ndarray]
) -> tuple[list[np.ndarray], list[float]]:
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - started)
    return found, seconds


def _recall(found: list[np.ndarray], truth: np.ndarray) -> float:
    return float(
        np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)])
    )


def _cluster_mode(
    vectors: np.ndarray, rows: np.ndarray, queries: np.ndarray
) -> tuple[list[np.ndarray], list[float]]:
    """Search as the mode cluster does, over clusters that are the catalogue's rows."""
    nearest = faiss.knn(vectors, rows, 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 0]
    order = np.argsort(nearest, kind="stable")
    table, edges = (
        VectorTable(vectors[order]),
        np.searchsorted(nearest[order], np.arange(len(rows) + 1)),
    )
    centres = np.array(
        [
            table.vectors[a:b].mean(axis=0) if b > a else rows[i]
            for i, (a, b) in enumerate(pairwise(edges))
        ]
    )

    def search(query: np.ndarray) -> np.ndarray:
        cluster = int(np.square(centres - query).sum(axis=1).argmin())
        return order[table.nearest_among(query, NEAREST, edges[cluster], edges[cluster + 1]).rows]

    return _answers(queries, search)


def _pictures(options: Options) -> list[Figure]:
    prepared = prepare_category(
        options.dataset("storefront"), options.scratch / "home", options.quick
    )
    # One thread a search, as the server gives it.
    with threadpool_limits(limits=1):
        figures = _leave_one_out(prepared)
    with served(prepared.project) as address:
        figures += _requests(prepared, address)
    return figures


def _leave_one_out(prepared: Prepared) -> list[Figure]:
    """Search with each photo of a product that has others, and leave the photo itself out of the
    answer.
    """
    index = SearchIndex.load(prepared.search_files)
    search = PictureSearch(
        index, prepared.project.context(prepared.slug, logging.getLogger(__name__))
    )
    groups = {
        listing.listing: prepared.truth[listing.product_base_id] for listing in prepared.listings
    }
    alone = pd.Series(groups).map(pd.Series(groups).value_counts()) == 1
    first: dict[str, list[bool]] = {"exact": [], "by cosine": [], "cluster": []}
    verified: list[bool] = []
    seconds: dict[Mode, list[float]] = {"exact": [], "cluster": []}
    for listing in (one for one in prepared.listings if not alone[one.listing]):
        query = search.describe(load_image(prepared.project.blobs, str(listing.image_sha256)))
        own = {
            other.listing
            for other in prepared.listings
            if other.image_sha256 == listing.image_sha256
        }
        answers: dict[str, list[int]] = {
            "by cosine": [hit.listing for hit in index.query(query.vector, NEAREST)]
        }
        for mode, times in seconds.items():
            started = time.perf_counter()
            found = search.search(query, NEAREST, mode)
            times.append(time.perf_counter() - started)
            answers[mode] = [one.hit.listing for one in found]
            if mode == "exact":
                certain = (
                    one.hit.listing for one in found if one.verified and one.hit.listing not in own
                )
                verified += [groups[other] == groups[listing.listing] for other in certain]
        for name, hits in answers.items():
            others = [hit for hit in hits if hit not in own]
            first[name].append(bool(others) and groups[others[0]] == groups[listing.listing])
    title, note = "storefront, leave one out", f"{len(first['exact'])} photos"
    return [
        Figure(
            f"{title}: first result is the product",
            float(np.mean(first["exact"])),
            "",
            0.95,
            note=note,
        ),
        Figure(f"{title}: by cosine alone", float(np.mean(first["by cosine"]))),
        Figure(f"{title}: in mode cluster", float(np.mean(first["cluster"]))),
        Figure(
            f"{title}: results marked as verified that show the product",
            float(np.mean(verified)),
            note=f"{len(verified)}",
        ),
        Figure(
            "storefront: search and verification, median",
            1e3 * float(np.median(seconds["exact"])),
            "ms",
        ),
        Figure(
            "storefront: the same in mode cluster, median",
            1e3 * float(np.median(seconds["cluster"])),
            "ms",
        ),
    ]


def _requests(prepared: Prepared, address: str) -> list[Figure]:
    url = f"{address}/api/categories/{prepared.slug}/search"

    def ask(listing: Listing) -> float:
        picture = prepared.project.blobs.get(str(listing.image_sha256))
        started = time.perf_counter()
        httpx.post(url, files={"picture": ("q", picture)}, timeout=120).raise_for_status()
        return time.perf_counter() - started

    ask(prepared.listings[0])
    seconds = [ask(listing) for listing in prepared.listings[:100]]
    with ThreadPoolExecutor(50) as pool:
        together = list(pool.map(ask, prepared.listings[:50]))
    return [
        Figure(
            "whole request with a picture, 95th percentile",
            1e3 * float(np.percentile(seconds, 95)),
            "ms",
            300.0,
            "at most",
        ),
        Figure("whole request with a picture, median", 1e3 * float(np.median(seconds)), "ms"),
        Figure("50 requests at once: answered", len(together), "", 50.0),
        Figure("50 requests at once: slowest", max(together), "s"),
    ]
