"""Boxes beside true boxes, and the grouping with the contour's crop, with no crop and with the true
box.

The groupings are made without reading packs, so that what the crop is worth shows, and not what
print makes up for.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openpyxl

from benchmarks.figures import Figure, Options
from benchmarks.pipeline import clustering_pipeline, served_copy, set_options
from clustering_pipeline.evaluation import evaluate_workbook, read_truth
from clustering_pipeline.imaging import decode_image
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.detection import intersection_over_union, make_detector, select
from clustering_pipeline.synthetic import serve_folder

Boxes = dict[str, np.ndarray]
CROPS = {"contour": (), "no crop": ("crops.crop=off",), "true box": ("crops.detector=given",)}
FOUND = 0.5


def run(options: Options) -> list[Figure]:
    """Score boxes on the two sets that have true ones, then group `storefront` with each kind of
    crop.
    """
    figures = []
    for name in ("storefront", "bottles_and_cans"):
        dataset = options.dataset(name)
        truth = _true_boxes(dataset / "labels.csv", 20 if options.quick else None)
        figures += _box_figures(name, "contour", truth, _selected(dataset, truth, CropSettings()))
        figures += _box_figures(
            name, "no crop", truth, _selected(dataset, truth, CropSettings(crop="off"))
        )
    return figures if options.quick else figures + _grouping(options)


def _box_figures(
    name: str, kind: str, truth: Boxes, found: Mapping[str, np.ndarray]
) -> list[Figure]:
    main = [
        float(intersection_over_union(found[image][0], boxes).max())
        for image, boxes in truth.items()
    ]
    each = [
        float(intersection_over_union(box, found[image]).max())
        for image, boxes in truth.items()
        for box in boxes
    ]
    recall = float(np.mean([overlap >= FOUND for overlap in each]))
    return [
        Figure(
            f"{name}, {kind}: IoU of the main crop",
            float(np.mean(main)),
            note=f"{len(main)} pictures",
        ),
        Figure(
            f"{name}, {kind}: recall of true boxes at IoU 0.5", recall, note=f"{len(each)} boxes"
        ),
    ]


def _selected(dataset: Path, truth: Boxes, settings: CropSettings) -> dict[str, np.ndarray]:
    """Return image → float64 (n, 4) boxes that the stage would cut out, the main one first."""
    detector = make_detector(settings)
    found = {}
    for image in truth:
        pixels = decode_image((dataset / "images" / image).read_bytes())
        (detections,) = detector.detect([pixels], ())
        height, width = pixels.shape[:2]
        crops = select(detections, width, height, detector.default_score, settings)
        found[image] = np.array([crop.box for crop in crops], np.float64)
    return found


def _true_boxes(labels: Path, most: int | None) -> Boxes:
    boxes = defaultdict(list)
    for row in _rows(labels):
        boxes[row["image"]].append([float(row[name]) for name in ("x0", "y0", "x1", "y1")])
    return {image: np.array(boxes[image]) for image in sorted(boxes)[:most]}


def _rows(labels: Path) -> list[dict[str, str]]:
    with labels.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["x0"]]


def _grouping(options: Options) -> list[Figure]:
    dataset = options.dataset("storefront")
    figures = []
    with serve_folder(dataset) as shop:
        for kind, assignments in CROPS.items():
            folder = options.scratch / kind
            folder.mkdir()
            catalogue = _with_boxes(
                served_copy(dataset, shop, folder / "storefront.xlsx"), dataset / "labels.csv"
            )
            arguments = (
                "run",
                str(catalogue),
                "--allow-host",
                shop.host,
                *set_options((*assignments, "matches.text=false")),
            )
            workbook = Path(clustering_pipeline(folder / "home", *arguments).result["workbook"])
            scores = evaluate_workbook(workbook, read_truth(dataset / "labels.csv"))
            note = (
                f"pairwise F1 {scores['pairwise_f1']:.3f}, mixed clusters "
                f"{scores['mixed_share']:.3f}"
            )
            figures.append(
                Figure(f"storefront grouped with {kind}: BCubed F1", scores["bcubed_f1"], note=note)
            )
    return figures


def _with_boxes(catalogue: Path, labels: Path) -> Path:
    """Add the true boxes as columns x0, y0, x1, y1."""
    boxes = {row["image"]: row for row in _rows(labels)}
    book = openpyxl.load_workbook(catalogue)
    sheet = book.worksheets[0]
    column = next(cell.column for cell in sheet[1] if cell.value == "url_thumbnail")
    free = sheet.max_column + 1
    for offset, name in enumerate(("x0", "y0", "x1", "y1")):
        sheet.cell(1, free + offset, name)
        for row in range(2, sheet.max_row + 1):
            box = boxes.get(str(sheet.cell(row, column).value).rsplit("/", 1)[-1])
            sheet.cell(row, free + offset, float(box[name]) if box else None)
    book.save(catalogue)
    return catalogue
