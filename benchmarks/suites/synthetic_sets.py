"""Grouping of drawn sets that are hard on purpose: sellers who frame everything they list, and
marks with little print.

Parameters were chosen on other seeds of the same generator.
"""

from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, Options
from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import ClusterSettings, MatchSettings
from clustering_pipeline.synthetic import draw_marks, encode_jpeg, render_mark, write_catalogue

SELLERS_SEED, MARKS_SEED = 7, 8
PRODUCTS, MARKS = 40, (30, 20)


def run(options: Options) -> list[Figure]:
    """Draw, group and score both sets."""
    share = 3 if options.quick else 1
    return [
        *_score_sellers(options.scratch, PRODUCTS // share),
        *_score_marks(options.scratch, MARKS[0] // share, MARKS[1]),
    ]


def _score_sellers(scratch: Path, products: int) -> list[Figure]:
    catalogue = write_catalogue(
        scratch / "sellers",
        "http://localhost",
        products=products,
        sellers=20,
        seed=SELLERS_SEED,
        listings_per_product=(5, 7),
        problems=(),
        all_decorated=True,
    )
    pictures = [
        Picture(catalogue.images / row.file_name, str(row.group), row.title)
        for row in catalogue.listings
    ]
    prepared = PreparedSet(pictures, scratch / "sellers store")
    figures: list[Figure] = []
    for variant, titles, asked, most in (
        ("with titles", True, 0.95, 0.02),
        ("without titles", False, None, None),
    ):
        clusters = prepared.group(
            prepared.match(MatchSettings(), titles=titles), ClusterSettings(), titles=titles
        )
        scores = prepared.scores(clusters)
        title = f"20 sellers with a frame, {products} products, {variant}"
        figures += [
            Figure(f"{title}: BCubed F1", scores["bcubed_f1"], asked=asked, details=dict(scores)),
            Figure(f"{title}: share of mixed clusters", scores["mixed_share"], "", most, "at most"),
        ]
    return figures


def _score_marks(scratch: Path, marks: int, renderings: int) -> list[Figure]:
    folder, qualities = scratch / "marks", np.random.default_rng(MARKS_SEED)
    folder.mkdir()
    pictures = []
    for number, mark in enumerate(draw_marks(marks, MARKS_SEED)):
        for rendering in range(renderings):
            path = folder / f"{number:03d}-{rendering:02d}.jpg"
            picture = render_mark(mark, MARKS_SEED + 100 * number + rendering)
            path.write_bytes(encode_jpeg(picture, int(qualities.integers(60, 92))))
            pictures.append(Picture(path, str(number)))
    prepared = PreparedSet(pictures, scratch / "marks store")
    scores = prepared.scores(prepared.group(prepared.match(MatchSettings()), ClusterSettings()))
    title = f"{marks} marks of {renderings} renderings"
    return [
        Figure(f"{title}: BCubed F1", scores["bcubed_f1"], asked=0.80, details=dict(scores)),
        Figure(f"{title}: pairwise precision", scores["pairwise_precision"], asked=0.95),
    ]
