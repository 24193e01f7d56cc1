"""What was left out: the funnel of filters in numbers and as a picture, and a page of what was
left out beside what was kept, the most doubtful first.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import pandas as pd

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.graph import linked
from clustering_pipeline.core.markup import Element, canvas, element, open_templates
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import ImageError, load_thumbnail, to_jpeg
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.storage import BlobStore

_THUMBNAIL = 160
# Rejects of a kind without a limit of its own are as doubtful as an average pair.
_UNKNOWN_DOUBT = 0.5


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
        "pictures_of_listings": int(pictured.sum()),
        "distinct_pictures": int(raw_images.loc[pictured, "image_sha256"].nunique()),
        "crops": int(crops["crop_sha256"].notna().sum()),
        "distinct_crops": len(clean_images),
        "crops_good_enough": int((status != "rejected").sum()),
        "crops_kept": int((status == "kept").sum()),
        "duplicates": int((status == "duplicate").sum()),
        **{f"rejected_{kind}": int(count) for kind, count in rejected.items()},
    }


FUNNEL_STEPS = (
    "pictures_of_listings",
    "distinct_pictures",
    "distinct_crops",
    "crops_good_enough",
    "crops_kept",
)


_WIDTH, _ROW, _LABEL = 640, 34, 190


def draw_funnel(
    facts: Facts,
    labels: Mapping[str, str] | None = None,
    number: Callable[[float], str] = "{:,.0f}".format,
) -> bytes:
    """Return an SVG bar per step of the funnel, from the facts of `clean_images`: what is left, and
    what each step took. `labels`: what steps are called, `number`: how counts are written.
    """
    called = labels or {step: step.replace("_", " ") for step in FUNNEL_STEPS}
    counts = [int(facts.get(step, 0)) for step in FUNNEL_STEPS]
    largest = max(1, *counts)
    rows = [
        _row(
            place, called[step], count, (counts[place - 1] - count) if place else 0, largest, number
        )
        for place, (step, count) in enumerate(zip(FUNNEL_STEPS, counts, strict=True))
    ]
    height = _ROW * len(rows)
    parts = [element("title", "The funnel of pictures"), *chain.from_iterable(rows)]
    return str(canvas(_WIDTH, height, *parts, font_size=13, size=True, role="img")).encode()


def _row(
    place: int,
    label: str,
    count: int,
    lost: int,
    largest: int,
    number: Callable[[float], str],
) -> tuple[Element, ...]:
    top, room = place * _ROW, _WIDTH - _LABEL - 110
    # A picture can have several crops, in which case a step adds instead of taking.
    change = f" (−{number(lost)})" if lost > 0 else f" (+{number(-lost)})" if lost < 0 else ""
    width = room * count / largest
    return (
        element("text", label, x=_LABEL - 10, y=top + 22, text_anchor="end"),
        element(
            "rect",
            x=_LABEL,
            y=top + 5,
            width=f"{width:.1f}",
            height=_ROW - 10,
            rx=3,
            fill="#3b82c4",
        ),
        element("text", f"{number(count)}{change}", x=f"{_LABEL + width + 8:.1f}", y=top + 22),
    )


@dataclass(frozen=True)
class LeftOut:
    """A crop that left the computation: its keeper when it has one, why, and how doubtful that is,
    0 to 1.
    """

    crop: str
    keeper: str | None
    reason: str
    doubt: float


def left_out(
    clean_images: pd.DataFrame, semantic_duplicates: pd.DataFrame, settings: CleanImageSettings
) -> list[LeftOut]:
    """Return the rejects, the duplicates and the semantic duplicates of a category, the most
    doubtful first.
    """
    rows = [
        *(
            _rejected(row, settings)
            for row in clean_images[clean_images["status"] == "rejected"].to_dict("records")
        ),
        *(
            _duplicate(row, settings)
            for row in clean_images[clean_images["status"] == "duplicate"].to_dict("records")
        ),
        *_semantic(semantic_duplicates),
    ]
    return sorted(rows, key=lambda row: (-row.doubt, row.crop))


def write_pairs_page(
    clean_images: pd.DataFrame,
    semantic_duplicates: pd.DataFrame,
    facts: Facts,
    settings: CleanImageSettings,
    blobs: BlobStore,
    most: int = 300,
) -> bytes:
    """Return one self-contained HTML page: each crop left out beside its keeper, with the reason,
    distance and doubt.

    `facts`: those of `clean_images`, for the drawing of the funnel; `most`: rows shown.
    """
    rows = left_out(clean_images, semantic_duplicates, settings)
    places = clean_images.set_index("crop_sha256")[
        ["image_sha256", "x0", "y0", "x1", "y1"]
    ].to_dict("index")
    picture = partial(_picture, places=places, blobs=blobs)
    shown = [
        {
            **vars(row),
            "picture": picture(row.crop),
            "keeper_picture": picture(row.keeper) if row.keeper else None,
        }
        for row in rows[:most]
    ]
    page = open_templates("clustering_pipeline.stages.deduplication").get_template("pairs.html")
    return page.render(
        rows=shown, shown=len(shown), total=len(rows), funnel=draw_funnel(facts).decode()
    ).encode()


def _rejected(row: Mapping[Any, Any], settings: CleanImageSettings) -> LeftOut:
    limits = settings.limits()
    shares = {
        "blurred": row["sharpness"] / max(limits.sharpness, 1e-9),
        "dark": row["brightness"] / max(limits.darkest, 1e-9),
        "bright": (255 - row["brightness"]) / max(255 - limits.brightest, 1e-9),
        "low_contrast": row["contrast"] / max(limits.contrast, 1e-9),
    }
    doubt = shares.get(row["reason_kind"], _UNKNOWN_DOUBT)
    return LeftOut(row["crop_sha256"], None, row["reason"], float(min(max(doubt, 0), 1)))


def _duplicate(row: Mapping[Any, Any], settings: CleanImageSettings) -> LeftOut:
    doubt = row["distance"] / (2 * max(settings.phash_radius, 1))
    return LeftOut(row["crop_sha256"], row["keeper"], row["reason"], float(min(doubt, 1)))


def _semantic(semantic_duplicates: pd.DataFrame) -> list[LeftOut]:
    alike = linked(semantic_duplicates)
    span = max(1e-9, 1 - float(alike["similarity"].min())) if len(alike) else 1.0
    return [
        LeftOut(
            row["crop_sha256"], row["keeper"], _semantic_reason(row), (1 - row["similarity"]) / span
        )
        for row in alike.to_dict("records")
    ]


def _semantic_reason(row: Mapping[Any, Any]) -> str:
    return (
        f"linked: cosine {row['similarity']:.4f} to its keeper"
        if pd.isna(row["reason"])
        else f"rejected: {row['reason']}"
    )


def _picture(crop: str, places: Mapping[Any, Mapping[Any, Any]], blobs: BlobStore) -> str | None:
    """Return a data URL of the crop's thumbnail, None when its picture cannot be read any more."""
    place = places[crop]
    box = (int(place["x0"]), int(place["y0"]), int(place["x1"]), int(place["y1"]))
    try:
        pixels = load_thumbnail(blobs, place["image_sha256"], box, _THUMBNAIL)
    except (ImageError, StageError):
        return None
    content = to_jpeg(pixels, 75)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
