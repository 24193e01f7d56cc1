"""Drawings of a clustering: choices, sweeps and the projection to two dimensions, kept for the
report.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.markup import Element, circle, draw, element, polyline
from clustering_pipeline.core.vectors import principal_axes, turned
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import FileTree, layout

# Of a drawing, in pixels; the margin holds titles and ticks.
WIDTH = 520
HEIGHT = 300
MARGIN = 48


def draw_curve(
    x: Sequence[float] | NDArray[np.float64],
    y: Sequence[float] | NDArray[np.float64],
    *,
    title: str,
    across: str,
    up: str,
    chosen: float | None = None,
) -> str:
    """Return an SVG of a curve through the finite points (x, y), with a mark at the point whose x
    is nearest to `chosen`.
    """
    points = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    points = points[np.isfinite(points).all(axis=1)]
    parts = _frame(title, across, up)
    if len(points) == 0:
        return _svg([*parts, _text(WIDTH / 2, HEIGHT / 2, "no value is defined here", "middle")])
    placed, ticks = _place(points)
    parts += ticks
    parts.append(polyline(placed.tolist(), stroke="#2463a6", stroke_width=2))
    if len(placed) <= 60:
        parts += [circle(right, down, 2.5, fill="#2463a6") for right, down in placed.tolist()]
    if chosen is not None:
        x_chosen, y_chosen = placed[int(np.argmin(np.abs(points[:, 0] - chosen)))]
        parts.append(circle(x_chosen, y_chosen, 6, fill="none", stroke="#c2410c", stroke_width=2.5))
    return _svg(parts)


def draw_scatter(points: NDArray[np.float64], labels: NDArray[np.int64], *, title: str) -> str:
    """Return an SVG of points (float, n × 2) coloured by label (int64, n); -1 is grey."""
    if len(points) == 0:
        return _svg(_frame(title, "", ""))
    placed, _ = _place(points)
    # The golden angle spreads the hues of consecutive numbers.
    colours = [
        f"hsl({label * 137.508 % 360:.0f} 65% 45%)" if label >= 0 else "#bbb"
        for label in labels.tolist()
    ]
    dots = [
        circle(across, up, 2.6, fill=colour)
        for (across, up), colour in zip(placed.tolist(), colours, strict=True)
    ]
    return _svg([*_frame(title, "", ""), *dots])


def _place(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[Element]]:
    """Return the points in pixels and the labels of the axes' ends."""
    low, high = points.min(axis=0), points.max(axis=0)
    shares = (points - low) / np.where(high > low, high - low, 1)
    placed = np.column_stack(
        [
            MARGIN + shares[:, 0] * (WIDTH - 2 * MARGIN),
            HEIGHT - MARGIN - shares[:, 1] * (HEIGHT - 2 * MARGIN),
        ]
    )
    ticks = [
        _text(MARGIN, HEIGHT - MARGIN + 16, f"{low[0]:.4g}", "middle"),
        _text(WIDTH - MARGIN, HEIGHT - MARGIN + 16, f"{high[0]:.4g}", "middle"),
        _text(MARGIN - 6, HEIGHT - MARGIN, f"{low[1]:.4g}", "end"),
        _text(MARGIN - 6, MARGIN + 8, f"{high[1]:.4g}", "end"),
    ]
    return placed, ticks


def _frame(title: str, across: str, up: str) -> list[Element]:
    box = element(
        "path",
        d=f"M{MARGIN},{MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}",
        fill="none",
        stroke="#888",
    )
    side = element(
        "text",
        up,
        x=14,
        y=HEIGHT / 2,
        transform=f"rotate(-90 14 {HEIGHT / 2})",
        text_anchor="middle",
    )
    return [
        box,
        _text(WIDTH / 2, 22, title, "middle"),
        _text(WIDTH / 2, HEIGHT - 12, across, "middle"),
        side,
    ]


def _text(x: float, y: float, text: str, anchor: str) -> Element:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _svg(parts: Sequence[Element]) -> str:
    return draw(WIDTH, HEIGHT, parts, font_size=12)


SEED = 5
# Points of a projection at most.
LARGEST = 3_000
# Principal components that t-SNE and UMAP begin with, as many as scikit-learn recommends for t-SNE.
COMPONENTS = 50


def project(
    vectors: NDArray[np.float32], method: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `nodes` (int64, at most `LARGEST`) and their coordinates (float64, n × 2) by "pca",
    "tsne" or "umap" after PCA.

    Raises StageError when UMAP is asked for and umap-learn is not installed.
    """
    nodes: NDArray[np.int64] = np.arange(len(vectors))
    if len(nodes) > LARGEST:
        nodes = np.sort(np.random.default_rng(SEED).choice(nodes, LARGEST, replace=False))
    chosen = vectors[nodes].astype(np.float64)
    if len(nodes) < 5 or method == "pca":
        return nodes, _principal_components(chosen, 2)
    reduced = _principal_components(chosen, COMPONENTS)
    return nodes, _tsne(reduced) if method == "tsne" else _umap(reduced)


def _principal_components(vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the coordinates (n × count) along the axes of greatest variance, each axis turned so
    that its largest part is positive.
    """
    middle, axes = principal_axes(vectors)
    placed = (vectors - middle) @ turned(axes[:count]).T
    return np.pad(placed, ((0, 0), (0, max(0, min(2, count) - placed.shape[1]))))


def _tsne(reduced: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(reduced) - 1) / 3)
    placed: NDArray[np.float32] = TSNE(
        2, init="pca", perplexity=perplexity, random_state=SEED
    ).fit_transform(reduced)
    return placed.astype(float)


def _umap(reduced: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        import umap
    except ImportError as error:
        raise StageError(
            "clusters.projection is umap, but umap-learn is not installed. Install it, or set "
            "clusters.projection to tsne."
        ) from error
    placed: NDArray[np.float32] = umap.UMAP(n_components=2, random_state=SEED).fit_transform(
        reduced
    )
    return placed.astype(float)


def _path(category: str) -> str:
    return f"{layout.CLUSTER_DRAWINGS}/{category}.json"


def keep_drawings(
    context: StageContext, category: str, drawings: Mapping[str, str]
) -> dict[str, str]:
    """Keep drawings (name to SVG) as those of the category's latest grouping and return name to
    sha256.
    """
    digests = {name: context.blobs.put(drawing.encode()) for name, drawing in drawings.items()}
    FileTree(str(context.state)).write(_path(category), json.dumps(digests).encode())
    return digests


def read_drawings(context: StageContext, category: str) -> dict[str, str]:
    """Return the drawings (name to SVG) of the category's latest grouping; none when nothing was
    tuned, swept or projected.
    """
    files = FileTree(str(context.state))
    if not files.exists(_path(category)):
        return {}
    digests = json.loads(files.read(_path(category)))
    return {name: context.blobs.get(digest).decode() for name, digest in digests.items()}
