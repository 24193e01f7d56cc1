"""What shops lay over their pictures: content that stands at the same place of many pictures whose
rest differs; found again only where a picture or what it is compared with is new.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clustering_pipeline.imaging import ImageError, load_reduced, resize
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, compute_missing

# Pictures are looked at in so many cells a side, each of so many samples a side.
CELLS, _SAMPLES = 16, 4
# Mean and largest L*a*b* distance of two cells that show the same; the least that a cell stands out
# from the background.
_MEAN_DISTANCE, _LARGEST_DISTANCE, _CONTENT_DISTANCE = 5.0, 16.0, 6.0
# The mean square may be this share of what the cells stand out.
_RELATIVE = 0.1
# A part of a template has at least so many cells.
_FEWEST_CELLS = 3
# A cell with structure has such a standard deviation of its samples; flat cells are template beside
# those that have.
_STRUCTURE = 5.0
# Of two pictures of different products at least this share of what either shows differs.
_LEAST_DIFFERENCE = 0.4
# A cell is template when it recurs in so many different pictures, and in this share of the
# collection.
_FEWEST, _LEAST_SHARE = 5.0, 0.02
# So many pictures are compared with the references at once.
_BLOCK = 128
# Bytes to CIE L*a*b* units, and what OpenCV adds to a* and b* in a byte.
_UNITS, _OFFSET = np.array([100 / 255, 1, 1], np.float32), np.array([0, 128, 128], np.float32)

Floats = NDArray[np.float32]
Reals = NDArray[np.float64]
Masks = NDArray[np.bool_]
# Raised by whoever changes what a layout or a template is.
_VERSION = "3"
# Every picture is compared with so many at most, those whose hashes come first.
REFERENCES = 1200
COLUMNS = ("template", "template_kind", "template_pictures")
_LAYOUT = pa.schema([("layout", pa.binary())])
_TEMPLATE = pa.schema(
    [("template", pa.string()), ("template_kind", pa.string()), ("share", pa.float64())]
)


class Templates(NamedTuple):
    """`covered`: which cells of each picture a template covers, bool (n, CELLS, CELLS).

    `shares`: which share of the collection shows the template of each picture, float64 (n,); 0
    without one. `kinds`: the number of the first reference that shows it, by which pictures under
    one template know each other, int64 (n,); -1 without one.
    """

    covered: Masks
    shares: Reals
    kinds: NDArray[np.int64]


def layout(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what `find_templates` compares of an RGB picture: uint8 (CELLS², 48), the samples of
    its cells in L*a*b* bytes.
    """
    side = CELLS * _SAMPLES
    lab = cv2.cvtColor(resize(picture, side, side), cv2.COLOR_RGB2Lab)
    cells = lab.reshape(CELLS, _SAMPLES, CELLS, _SAMPLES, 3).swapaxes(1, 2)
    return np.ascontiguousarray(cells.reshape(CELLS * CELLS, _SAMPLES * _SAMPLES * 3), np.uint8)


def find_templates(
    layouts: Sequence[NDArray[np.uint8]], references: Sequence[NDArray[np.uint8]]
) -> Templates:
    """Return the templates of pictures by their layouts.

    A cell is template when the same is found at the same place of several `references`, pictures
    of the collection, that differ from this one elsewhere. Copies of one photograph agree
    everywhere and so are no evidence; many copies of one picture count as one.
    """
    count = len(layouts)
    covered, shares = np.zeros((count, CELLS, CELLS), bool), np.zeros(count)
    kinds = np.full(count, -1, np.int64)
    if len(references) < _FEWEST:
        return Templates(covered, shares, kinds)
    compared = _Shown.of(references)
    copies = np.concatenate(
        [
            (~_compare(_Shown.of(references[start : start + _BLOCK]), compared)[1]).sum(axis=1)
            for start in range(0, len(references), _BLOCK)
        ]
    )
    needed = max(_FEWEST, _LEAST_SHARE * len(copies))
    for start in range(0, count, _BLOCK):
        some = _Shown.of(layouts[start : start + _BLOCK])
        same, different = _compare(some, compared)
        parts = _parts(same, different / np.maximum(copies, 1)[None], some, needed)
        covered[start : start + _BLOCK] = parts
        sharing = _sharing(same, parts.reshape(len(parts), -1), len(copies))
        shares[start : start + _BLOCK] = sharing.mean(axis=1)
        kinds[start : start + _BLOCK] = np.where(sharing.any(axis=1), sharing.argmax(axis=1), -1)
    return Templates(covered, shares, kinds)


def widened(covered: Masks) -> Masks:
    """Return cells (rows, columns) and those beside them, since a template ends within a cell."""
    return cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def to_text(covered: Masks) -> str:
    """Return the cells of one picture as hexadecimal digits."""
    return np.packbits(covered).tobytes().hex()


def from_text(text: str) -> Masks:
    """Return the cells, bool (CELLS, CELLS), that `to_text` wrote."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=CELLS * CELLS)
    return bits.reshape(CELLS, CELLS) > 0


class _Shown(NamedTuple):
    """Pictures as they are compared: `samples` float32 (n, CELLS², 48) L*a*b*, and per cell how far
    it stands out from the picture's border (`energy`, mean square), whether it does at all
    (`content`), and whether it is `structured`.
    """

    samples: Floats
    energy: Floats
    content: Masks
    structured: Masks

    @classmethod
    def of(cls, layouts: Sequence[NDArray[np.uint8]]) -> "_Shown":
        lab = np.stack(list(layouts)).reshape(len(layouts), CELLS, CELLS, -1, 3)
        samples = (lab.astype(np.float32) - _OFFSET) * _UNITS
        means = samples.mean(axis=3)
        border = np.concatenate(
            [means[:, 0], means[:, -1], means[:, 1:-1, 0], means[:, 1:-1, -1]], axis=1
        )
        background = np.median(border, axis=1)
        apart = np.square(samples - background[:, None, None, None]).sum(axis=4).mean(axis=3)
        energy = np.asarray(apart.reshape(len(lab), -1), np.float32)
        spread = np.linalg.norm(samples.std(axis=3), axis=3).reshape(len(lab), -1)
        return cls(
            np.ascontiguousarray(samples.reshape(len(lab), CELLS * CELLS, -1)),
            energy,
            energy > _CONTENT_DISTANCE**2,
            spread > _STRUCTURE,
        )


# Per cell the rows of pictures, and of references, that show the same in it.
_Same = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _compare(some: _Shown, references: _Shown) -> tuple[_Same, Masks]:
    """Return which cells show the same in both, and which pictures differ elsewhere, bool (n,
    references).
    """
    agreeing = np.zeros((len(some.energy), len(references.energy)), np.int32)
    same: _Same = []
    for cell in range(CELLS * CELLS):
        rows = np.flatnonzero(some.content[:, cell])
        columns = np.flatnonzero(references.content[:, cell])
        near_row, near_column = _near(
            some.samples[rows, cell],
            references.samples[columns, cell],
            np.minimum.outer(some.energy[rows, cell], references.energy[columns, cell]),
        )
        same.append((rows[near_row], columns[near_column]))
        agreeing[same[-1]] += 1
    both = some.content.astype(np.float32) @ references.content.astype(np.float32).T
    shown = some.content.sum(axis=1)[:, None] + references.content.sum(axis=1)[None] - both
    return same, (shown > 0) & (agreeing < (1 - _LEAST_DIFFERENCE) * shown)


def _parts(same: _Same, worth: Reals, some: _Shown, needed: float) -> Masks:
    """Return what recurs in pictures that are worth `needed` together: bool (n, CELLS, CELLS)."""
    count = len(worth)
    support = np.stack(
        [np.bincount(rows, worth[rows, columns], minlength=count) for rows, columns in same], axis=1
    )
    shape = (-1, CELLS, CELLS)
    return _large_parts((support >= needed).reshape(shape), some.structured.reshape(shape))


def _sharing(same: _Same, covered: Masks, references: int) -> Masks:
    """Return which references show most of the covered cells (bool, n, CELLS²) of each picture:
    bool (n, references), none for a picture without such cells.
    """
    common = np.zeros((len(covered), references), np.int32)
    for cell, (rows, columns) in enumerate(same):
        counted = covered[rows, cell]
        common[rows[counted], columns[counted]] += 1
    cells = covered.sum(axis=1)[:, None]
    return np.asarray((cells > 0) & (common >= (1 - _LEAST_DIFFERENCE) * cells), bool)


def _near(
    left: Floats, right: Floats, energy: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of both that show the same, given what both stand out at least."""
    lengths = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)[None]
    samples = _SAMPLES * _SAMPLES
    squared = (lengths - 2 * left @ right.T) / samples
    rows, columns = np.nonzero(squared <= np.minimum(_MEAN_DISTANCE**2, _RELATIVE * energy))
    apart = np.square(left[rows] - right[columns]).reshape(-1, samples, 3).sum(axis=2).max(axis=1)
    close = apart <= _LARGEST_DISTANCE**2
    return rows[close], columns[close]


def _large_parts(recurring: Masks, structured: Masks) -> Masks:
    """Return the connected parts of `recurring` of so many cells that hold structure."""
    kept = np.zeros_like(recurring)
    for number in np.flatnonzero((recurring & structured).any(axis=(1, 2))):
        _, labels = cv2.connectedComponents(recurring[number].astype(np.uint8), connectivity=4)
        sizes = np.bincount(labels.ravel())
        seeds = np.bincount(labels.ravel(), structured[number].ravel())
        good = (sizes >= _FEWEST_CELLS) & (seeds >= 1)
        good[0] = False
        kept[number] = good[labels]
    return kept


def search_templates(images: Sequence[str], batch_size: int, context: StageContext) -> pd.DataFrame:
    """Return per distinct picture (sha256, the index) its `template`, the covered cells as
    `to_text` writes them or None, `template_kind`, which is the same for all pictures under one
    template, and `template_pictures`, how many these are: an estimate beyond 1,200 pictures.
    """
    names = sorted(set(images))
    layouts = _layouts(names, batch_size, context)
    readable = [name for name in names if len(layouts[name])]
    references = readable[:REFERENCES]
    compared = hashlib.sha256("".join(references).encode()).hexdigest()[:24]

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if missing:
            alike = find_templates(
                [_read(layouts[name]) for name in missing],
                [_read(layouts[name]) for name in references],
            )
            texts = [to_text(cells) if cells.any() else None for cells in alike.covered]
            kinds = [None if kind < 0 else references[kind] for kind in alike.kinds.tolist()]
            yield pd.DataFrame(
                {
                    "key": missing,
                    "template": texts,
                    "template_kind": kinds,
                    "share": alike.shares,
                }
            )

    table = context.tables.table("templates", f"{_VERSION}-{compared}", _TEMPLATE)
    rows = compute_missing(table, readable, compute)
    shared = np.rint(rows["share"].to_numpy(np.float64) * len(readable)).astype(np.int64)
    return rows.assign(template_pictures=shared)[list(COLUMNS)].reindex(names)


def _layouts(images: Sequence[str], batch_size: int, context: StageContext) -> dict[str, bytes]:
    """Return the layouts of pictures as bytes; none of a picture that cannot be read any more."""

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        work = partial(_layout_batch, blobs=context.blobs)
        for batch_layouts in context.map_batches(
            work, missing, "Templates", "picture", batch_size=batch_size
        ):
            yield pd.DataFrame(batch_layouts, columns=["key", *_LAYOUT.names])

    rows = compute_missing(
        context.tables.table("picture_layouts", _VERSION, _LAYOUT), images, compute
    )
    return dict(zip(rows.index, rows["layout"], strict=True))


def _layout_batch(batch: list[str], blobs: BlobStore) -> list[tuple[str, bytes]]:
    with threadpool_limits(1):
        return [(image, _layout_of(image, blobs)) for image in batch]


def _layout_of(image: str, blobs: BlobStore) -> bytes:
    try:
        return layout(load_reduced(blobs, image, None).picture).tobytes()
    except ImageError:
        return b""


def _read(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(CELLS * CELLS, -1)
