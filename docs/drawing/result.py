"""Draws docs/result.jpg: the clusters that the demonstration wrote, one row each.

`python docs/drawing/result.py`
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openpyxl
from numpy.typing import NDArray

from clustering_pipeline.cli.demo import run_demo
from clustering_pipeline.cli.terminal import Terminal
from clustering_pipeline.synthetic import encode_jpeg
from clustering_pipeline.synthetic.lettering import print_text

TARGET = Path(__file__).resolve().parents[1] / "result.jpg"
PRODUCTS, CLUSTERS, PICTURES = 16, 8, 8
TILE, GAP, LABEL = 132, 6, 208
INK, PALE, PAPER = (30, 34, 40), (120, 126, 134), (255, 255, 255)
QUALITY = 80

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Listing:
    """A row of the labelled workbook."""

    file_name: str
    cluster: str
    status: str
    name: str


def read_listings(workbook: Path) -> list[Listing]:
    """Return the rows of the first sheet of a labelled workbook."""
    rows = (
        openpyxl.load_workbook(workbook, read_only=True).worksheets[0].iter_rows(values_only=True)
    )
    header = [str(cell) for cell in next(rows)]
    found = []
    for row in rows:
        values = dict(zip(header, row, strict=False))
        name = str(values.get("cluster_name") or values["title"])
        cluster = "" if values["cluster_id"] is None else str(values["cluster_id"])
        found.append(
            Listing(
                str(values["url_thumbnail"]).rsplit("/", 1)[1], cluster, str(values["status"]), name
            )
        )
    return found


def draw(listings: Iterable[Listing], images: Path) -> Picture:
    """Return a sheet with one row per cluster, the largest clusters first."""
    clusters: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings:
        if listing.status == "clustered":
            clusters[listing.cluster].append(listing)
    chosen = sorted(clusters.values(), key=len, reverse=True)[:CLUSTERS]
    sheet: Picture = np.full(
        (len(chosen) * (TILE + GAP) + GAP, LABEL + PICTURES * (TILE + GAP) + GAP, 3), 255, np.uint8
    )
    for number, members in enumerate(chosen):
        top = GAP + number * (TILE + GAP)
        _draw_label(sheet, members[0], top)
        for position, member in enumerate(members[:PICTURES]):
            left = LABEL + GAP + position * (TILE + GAP)
            sheet[top : top + TILE, left : left + TILE] = _tile(images / member.file_name)
    return sheet


def _draw_label(sheet: Picture, member: Listing, top: int) -> None:
    print_text(
        sheet,
        member.cluster,
        (LABEL / 2, top + 36),
        INK,
        height=34,
        style="bold",
        largest_width=LABEL - 16,
    )
    words, lines = member.name.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 24:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    for line, text in enumerate(lines[:4]):
        print_text(
            sheet,
            text,
            (LABEL / 2, top + 72 + line * 17),
            PALE,
            height=13,
            largest_width=LABEL - 12,
        )


def _tile(path: Path) -> Picture:
    picture = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = cv2.resize(
        picture,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    tile: Picture = np.full((TILE, TILE, 3), PAPER, np.uint8)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    cv2.rectangle(tile, (0, 0), (TILE - 1, TILE - 1), (222, 226, 230), 1)
    return tile


def main() -> None:
    """Run the demonstration and draw what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        outcome = run_demo(place, PRODUCTS, 0, Terminal())
        sheet = draw(read_listings(Path(outcome.workbook)), place / "shop" / "images")
    TARGET.write_bytes(encode_jpeg(sheet, QUALITY))


if __name__ == "__main__":
    main()
