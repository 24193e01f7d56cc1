"""Curves and scatter plots as SVG, without a plotting library."""

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, MARGIN = 520, 300, 48


def draw_curve(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    *,
    title: str,
    across: str,
    up: str,
    chosen: float | None = None,
) -> str:
    """Return an SVG of a curve through the finite points (x, y), with a mark at the point whose x is nearest to `chosen`."""
    points = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    points = points[np.isfinite(points).all(axis=1)]
    parts = _frame(title, across, up)
    if len(points) == 0:
        return _svg([*parts, _text(WIDTH / 2, HEIGHT / 2, "no value is defined here", "middle")])
    placed, ticks = _place(points)
    parts += ticks
    path = " ".join(f"{across:.1f},{up:.1f}" for across, up in placed)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#2463a6" stroke-width="2"/>')
    if len(placed) <= 60:
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.5" fill="#2463a6"/>' for across, up in placed]
    if chosen is not None:
        across, up = placed[int(np.argmin(np.abs(points[:, 0] - chosen)))]
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="6" fill="none" stroke="#c2410c" stroke-width="2.5"/>')
    return _svg(parts)


def draw_scatter(points: np.ndarray, labels: np.ndarray, *, title: str) -> str:
    """Return an SVG of points (float, n × 2) coloured by label (int64, n); -1 is grey."""
    if len(points) == 0:
        return _svg(_frame(title, "", ""))
    placed, _ = _place(points)
    # The golden angle spreads the hues of consecutive numbers.
    colours = [f"hsl({label * 137.508 % 360:.0f} 65% 45%)" if label >= 0 else "#bbb" for label in labels.tolist()]
    dots = [
        f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.6" fill="{colour}"/>'
        for (across, up), colour in zip(placed, colours, strict=True)
    ]
    return _svg([*_frame(title, "", ""), *dots])


def _place(points: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the points in pixels and the labels of the axes' ends."""
    low, high = points.min(axis=0), points.max(axis=0)
    shares = (points - low) / np.where(high > low, high - low, 1)
    placed = np.column_stack(
        [MARGIN + shares[:, 0] * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - shares[:, 1] * (HEIGHT - 2 * MARGIN)]
    )
    ticks = [
        _text(MARGIN, HEIGHT - MARGIN + 16, f"{low[0]:.4g}", "middle"),
        _text(WIDTH - MARGIN, HEIGHT - MARGIN + 16, f"{high[0]:.4g}", "middle"),
        _text(MARGIN - 6, HEIGHT - MARGIN, f"{low[1]:.4g}", "end"),
        _text(MARGIN - 6, MARGIN + 8, f"{high[1]:.4g}", "end"),
    ]
    return placed, ticks


def _frame(title: str, across: str, up: str) -> list[str]:
    box = f'<path d="M{MARGIN},{MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="#888"/>'
    side = f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">{escape(up)}</text>'
    return [box, _text(WIDTH / 2, 22, title, "middle"), _text(WIDTH / 2, HEIGHT - 12, across, "middle"), side]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str]) -> str:
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([opening, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"])
