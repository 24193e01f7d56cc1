"""The funnel as a picture."""

from collections.abc import Mapping
from html import escape

_STEPS = ("pictures of listings", "distinct pictures", "distinct crops", "crops good enough", "crops kept")
_WIDTH, _ROW, _LABEL = 640, 34, 190


def draw_funnel(facts: Mapping[str, int | float | str]) -> bytes:
    """Return an SVG bar per step of the funnel, from the facts of `clean_images`: what is left, and what each step took."""
    counts = [int(facts.get(step, 0)) for step in _STEPS]
    largest = max(1, *counts)
    rows = [
        _row(place, step, count, (counts[place - 1] - count) if place else 0, largest)
        for place, (step, count) in enumerate(zip(_STEPS, counts, strict=True))
    ]
    height = _ROW * len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>The funnel of pictures</title>{"".join(rows)}</svg>'
    ).encode()


def _row(place: int, step: str, count: int, lost: int, largest: int) -> str:
    top, room = place * _ROW, _WIDTH - _LABEL - 110
    # A picture can have several crops, in which case a step adds instead of taking.
    change = f" (−{lost:,})" if lost > 0 else f" (+{-lost:,})" if lost < 0 else ""
    width = room * count / largest
    return (
        f'<text x="{_LABEL - 10}" y="{top + 22}" text-anchor="end">{escape(step)}</text>'
        f'<rect x="{_LABEL}" y="{top + 5}" width="{width:.1f}" height="{_ROW - 10}" rx="3" fill="#3b82c4"/>'
        f'<text x="{_LABEL + width + 8:.1f}" y="{top + 22}">{count:,}{change}</text>'
    )
