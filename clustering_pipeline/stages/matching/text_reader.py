"""The text on packs: the reader, the lines read once per crop and kept, and misread words spelled
as most packs of the category spell them.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.text import plain_words
from clustering_pipeline.imaging import Box, ImageError, fit_within, load_reduced
from clustering_pipeline.models import without_subnormals
from clustering_pipeline.settings import TextReaderSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.matching.kept_crops import KeptCrops
from clustering_pipeline.storage import BlobStore, FeatureTable, compute_missing

# Side of an empty picture, in pixels.
_BLANK = 64


@dataclass(frozen=True)
class TextLine:
    """A line of print.

    Attributes:
        text: as read.
        confidence: 0 to 1.
        quad: float32 (4, 2), the corners clockwise from the top left, as shares of the product
            frame's width and height.
    """

    text: str
    confidence: float
    quad: NDArray[np.float32]


# The lines of some crops, by the row of each.
PackLines = Mapping[int, Sequence[TextLine]]
# Lines below this confidence are not taken for what the pack says.
CONFIDENT = 0.6


class TextReader(Protocol):
    """Finds and reads lines of print."""

    def read(self, frame: NDArray[np.uint8]) -> list[TextLine]:
        """Return the lines in a uint8 (height, width, 3) RGB picture, best guess of reading
        order.
        """


class RapidTextReader:
    """PP-OCR detection and recognition by rapidocr and onnxruntime on one thread; the models lie in
    rapidocr's wheel.
    """

    def __init__(self, settings: TextReaderSettings) -> None:
        """Loads the models; raises StageError with the remedy when they do not load."""
        with TemporaryDirectory() as folder:
            self._engine = _load_rapidocr(settings, Path(folder))

    def read(self, frame: NDArray[np.uint8]) -> list[TextLine]:
        """Return the lines of an RGB frame, uint8 (height, width, 3), as rapidocr orders them."""
        output = self._engine(np.ascontiguousarray(frame[..., ::-1]))
        if output.txts is None or output.boxes is None:
            return []
        size = np.array(frame.shape[1::-1], np.float32)
        return [
            TextLine(str(text), float(score), (np.asarray(box, np.float32) / size).round(4))
            for text, score, box in zip(output.txts, output.scores, output.boxes, strict=True)
        ]


@lru_cache(maxsize=1)
def open_reader(settings: TextReaderSettings) -> TextReader:
    """Return this process's reader, loaded once."""
    return RapidTextReader(settings)


def lines_to_json(lines: Sequence[TextLine]) -> str:
    """Return lines as a JSON array of [text, confidence, x0, y0, … y3]."""
    rows = [
        [line.text, round(line.confidence, 4), *line.quad.ravel().round(4).tolist()]
        for line in lines
    ]
    return json.dumps(rows, ensure_ascii=False)


def lines_from_json(content: str) -> list[TextLine]:
    """Return the lines that `lines_to_json` wrote."""
    return [
        TextLine(row[0], row[1], np.array(row[2:], np.float32).reshape(4, 2))
        for row in json.loads(content)
    ]


def _load_rapidocr(settings: TextReaderSettings, folder: Path) -> Any:
    """Return the engine with its models loaded; `folder` is no longer needed then."""
    # Set before onnxruntime is loaded: the pool's processes already fill the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import rapidocr

    parameters: dict[str, object] = {
        "Global.use_cls": False,
        "Global.log_level": "error",
        "Det.limit_type": "max",
        "Det.limit_side_len": settings.longest_side,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
        # In a batch every line is widened to the longest, which costs more than batches save, and
        # what is read of a line would depend on the others.
        "Rec.rec_batch_num": 1,
    }
    if settings.recogniser is not None:
        parameters |= {
            "Rec.model_path": settings.recogniser,
            "Rec.rec_keys_path": settings.recogniser_characters,
        }
    try:
        parameters |= _quick_detector(Path(rapidocr.__file__).parent / "models", folder)
        engine = rapidocr.RapidOCR(params=parameters)
        # Newer releases read the files of the models when these get their first picture. What is
        # switched off for one picture stays off, so the detector comes last.
        blank = np.full((_BLANK, _BLANK, 3), 255, np.uint8)
        engine(blank, use_det=False)
        engine(blank, use_det=True)
        return engine
    except Exception as error:
        raise StageError(
            f"The text reader could not be loaded: {error}. Reinstall the package rapidocr, "
            "correct matches.reader.recogniser, or switch text off with matches.text=false."
        ) from error


def _quick_detector(models: Path, folder: Path) -> dict[str, object]:
    """Return the parameter that names a copy in `folder` of the detector in rapidocr's wheel, its
    subnormal weights made 0; nothing where the wheel holds not one detector.

    A quarter of a million of PP-OCRv6's weights are below 1e-38, where processors take a hundred
    times as long; without them a picture is looked through in a quarter of the time, for the same
    lines.
    """
    detectors = sorted(models.glob("*det*.onnx"))
    if len(detectors) != 1:
        return {}
    copy = folder / detectors[0].name
    copy.write_bytes(without_subnormals(detectors[0].read_bytes()))
    return {"Det.model_path": str(copy)}


_SCHEMA = pa.schema([("lines", pa.string())])

Place = tuple[str, str, Box, Box | None]


def read_texts(
    products: KeptCrops, rows: Sequence[int], settings: TextReaderSettings, context: StageContext
) -> dict[int, list[TextLine]]:
    """Return the lines on the packs at `rows`, by row.

    Places are shares of what is read: the product's frame, and under a template the whole crop.
    """
    places = {
        text_key(products.crops[row], products.reading_box(row)): (
            products.images[row],
            products.boxes[row],
            products.reading_box(row),
        )
        for row in rows
    }

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if not missing:
            return
        work = partial(_read_batch, blobs=context.blobs, settings=settings)
        items: list[Place] = [(key, *places[key]) for key in missing]
        for batch_lines in context.map_batches(
            work, items, "Text on packs", "picture", batch_size=settings.batch_size
        ):
            yield pd.DataFrame(batch_lines, columns=["key", *_SCHEMA.names])

    frame = compute_missing(_table(settings, context), places, compute)
    return {
        row: lines_from_json(content) for row, content in zip(rows, frame["lines"], strict=True)
    }


def held_texts(
    places: Sequence[tuple[str, Box | None]], settings: TextReaderSettings, context: StageContext
) -> dict[str, list[TextLine]]:
    """Return the lines that were read before, by crop; `places` as `reading_places` returns
    them.
    """
    keys = {text_key(crop, box): crop for crop, box in places}
    frame = _table(settings, context).read(list(keys))
    return {keys[str(key)]: lines_from_json(content) for key, content in frame["lines"].items()}


def reading_places(local_features: pd.DataFrame) -> dict[str, Box | None]:
    """Return which box of each crop is read: the product's, and None for the whole crop where a
    template lies over the picture, since such cards say beside the pack what it is.
    """
    boxes = local_features[["x0", "y0", "x1", "y1"]].to_numpy(np.int64).tolist()
    rows = zip(local_features["crop_sha256"], local_features["template"], boxes, strict=True)
    return {
        str(crop): None if isinstance(template, str) else (box[0], box[1], box[2], box[3])
        for crop, template, box in rows
    }


def text_key(crop_sha256: str, box: Box | None) -> str:
    """Return the cache key of a pack's text: the crop and the box that was read."""
    return f"{crop_sha256}:{'whole' if box is None else ','.join(map(str, box))}"


def _table(settings: TextReaderSettings, context: StageContext) -> FeatureTable:
    return context.tables.table("pack_text", settings.fingerprint(), _SCHEMA)


def _read_batch(
    batch: list[Place], blobs: BlobStore, settings: TextReaderSettings
) -> list[tuple[str, str]]:
    return [
        (key, _read_one(image, box, product, blobs, settings)) for key, image, box, product in batch
    ]


def _read_one(
    image: str, box: Box, product: Box | None, blobs: BlobStore, settings: TextReaderSettings
) -> str:
    left, top = box[:2]
    place = (
        box
        if product is None
        else (left + product[0], top + product[1], left + product[2], top + product[3])
    )
    try:
        pixels = load_reduced(blobs, image, place, at_least=settings.longest_side).region
    except ImageError:
        return lines_to_json([])
    frame = fit_within(pixels, settings.longest_side, enlarge=True)
    return lines_to_json(open_reader(settings).read(frame))


# Words of so many letters are corrected; in shorter ones another letter is another word.
_FEWEST_LETTERS = 4
# Letters by which a word and its usual spelling differ, and from which length on it may be two.
_ONE, _TWO, _LONG = 1, 2, 8
# A word is a misreading of another one that this many times as many packs bear.
_MORE_USUAL = 3
# Rare words compared with all usual ones at once.
_BLOCK = 512
_LETTERS = re.compile(r"[^\W\d_]+")


def usually_spelled(lines: PackLines) -> dict[int, list[TextLine]]:
    """Return the lines of each pack, words that were misread spelled as other packs bear them.

    Readers lose accents and mistake letters, differently on every photograph. A word of which
    three times as many packs bear a word that differs in one letter (two from eight letters on)
    counts as that word; of several the nearest, then the most usual. Numbers stay as read.

    Example:
        >>> quad = np.zeros((4, 2), np.float32)
        >>> said = ["cleansing oil", "Cleansing gel", "cleansing", "cieansing oil 310ml"]
        >>> packs = {row: [TextLine(text, 1.0, quad)] for row, text in enumerate(said)}
        >>> usually_spelled(packs)[3][0].text
        'cleansing oil 310ml'
    """
    spelling = _usual_spellings(_packs_by_word(lines))

    def spelled(match: re.Match[str]) -> str:
        return spelling.get(plain_words(match.group()), match.group())

    return {
        row: [replace(line, text=_LETTERS.sub(spelled, line.text)) for line in some]
        for row, some in lines.items()
    }


def _packs_by_word(lines: PackLines) -> Counter[str]:
    """Return how many packs bear each word of Latin letters."""
    return Counter(
        word
        for some in lines.values()
        for word in {
            word
            for line in some
            if line.confidence >= CONFIDENT
            for word in plain_words(line.text).split()
            if len(word) >= _FEWEST_LETTERS and word.isascii() and word.isalpha()
        }
    )


def _usual_spellings(packs: Mapping[str, int]) -> dict[str, str]:
    """Return the usual spelling of each word that has another one."""
    usual = {
        word: nearest
        for group in _by_lengths(packs)
        for word, nearest in _nearest_usual(group, packs)
    }
    # What is usual itself may be a misreading of something still more usual.
    found = {}
    for word, nearest in usual.items():
        last = nearest
        while last in usual:
            last = usual[last]
        found[word] = last
    return found


def _by_lengths(packs: Mapping[str, int]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words of each length with those usual words that are near enough in length."""
    lengths: dict[int, list[str]] = {}
    for word in sorted(packs):
        lengths.setdefault(len(word), []).append(word)
    for length, words in sorted(lengths.items()):
        near = [
            word
            for other in range(length - _TWO, length + _TWO + 1)
            for word in lengths.get(other, [])
            if packs[word] >= _MORE_USUAL
        ]
        if near:
            yield words, near


def _nearest_usual(
    group: tuple[list[str], list[str]], packs: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    words, usual = group
    counts = np.array([packs[word] for word in usual])
    allowed = np.array([_letters_that_may_differ(word) for word in usual])
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        distances = process.cdist(
            block, usual, scorer=Levenshtein.distance, score_cutoff=_TWO, dtype=np.uint8
        )
        for word, row in zip(block, distances, strict=True):
            is_near = row <= np.minimum(allowed, _letters_that_may_differ(word))
            is_usual = counts >= _MORE_USUAL * packs[word]
            candidates = np.flatnonzero(is_near & is_usual)
            if len(candidates):
                best = min(candidates.tolist(), key=lambda n: (row[n], -counts[n], usual[n]))
                yield word, usual[best]


def _letters_that_may_differ(word: str) -> int:
    return _TWO if len(word) >= _LONG else _ONE
