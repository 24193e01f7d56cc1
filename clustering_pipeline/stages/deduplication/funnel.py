"""The funnel: how many crops are left after each filter, in numbers and as a picture."""

from collections.abc import Mapping
from itertools import chain

import pandas as pd

from clustering_pipeline.core.svg import Element, canvas, element

Facts = dict[str, int | float | str]


def funnel_facts(
    raw_images: pd.DataFrame, crops: pd.DataFrame, clean_images: pd.DataFrame
) -> Facts:
    """Return the counts after each filter, in the order of the funnel, and one count per kind of
    reject.
    """
    pictured = raw_images["image_sha256"].notna()
    status = clean_images["status"]
    rejected = clean_images.loc[status == "rejected", "reason_kind"].value_counts().sort_index()
    return {
        "pictures of listings": int(pictured.sum()),
        "distinct pictures": int(raw_images.loc[pictured, "image_sha256"].nunique()),
        "crops": int(crops["crop_sha256"].notna().sum()),
        "distinct crops": len(clean_images),
        "crops good enough": int((status != "rejected").sum()),
        "crops kept": int((status == "kept").sum()),
        "duplicates": int((status == "duplicate").sum()),
        **{
            f"rejected: {str(kind).replace('_', ' ')}": int(count)
            for kind, count in rejected.items()
        },
    }


_STEPS = (
    "pictures of listings",
    "distinct pictures",
    "distinct crops",
    "crops good enough",
    "crops kept",
)
_WIDTH, _ROW, _LABEL = 640, 34, 190


def draw_funnel(facts: Mapping[str, int | float | str]) -> bytes:
    """Return an SVG bar per step of the funnel, from the facts of `clean_images`: what is left, and
    what each step took.
    """
    counts = [int(facts.get(step, 0)) for step in _STEPS]
    largest = max(1, *counts)
    rows = [
        _row(place, step, count, (counts[place - 1] - count) if place else 0, largest)
        for place, (step, count) in enumerate(zip(_STEPS, counts, strict=True))
    ]
    height = _ROW * len(rows)
    parts = [element("title", "The funnel of pictures"), *chain.from_iterable(rows)]
    return str(canvas(_WIDTH, height, *parts, font_size=13, size=True, role="img")).encode()


def _row(place: int, step: str, count: int, lost: int, largest: int) -> tuple[Element, ...]:
    top, room = place * _ROW, _WIDTH - _LABEL - 110
    # A picture can have several crops, in which case a step adds instead of taking.
    change = f" (−{lost:,})" if lost > 0 else f" (+{-lost:,})" if lost < 0 else ""
    width = room * count / largest
    return (
        element("text", step, x=_LABEL - 10, y=top + 22, text_anchor="end"),
        element(
            "rect",
            x=_LABEL,
            y=top + 5,
            width=f"{width:.1f}",
            height=_ROW - 10,
            rx=3,
            fill="#3b82c4",
        ),
        element("text", f"{count:,}{change}", x=f"{_LABEL + width + 8:.1f}", y=top + 22),
    )
