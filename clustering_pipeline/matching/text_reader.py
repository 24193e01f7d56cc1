"""Reading the text on a pack."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.errors import StageError
from clustering_pipeline.settings import TextReaderSettings


@dataclass(frozen=True)
class TextLine:
    """A line of print.

    Attributes:
        text: as read.
        confidence: 0 to 1.
        quad: float32 (4, 2), the corners clockwise from the top left, as shares of the product frame's width and height.
    """

    text: str
    confidence: float
    quad: NDArray[np.float32]


class TextReader(Protocol):
    """Finds and reads lines of print."""

    def read(self, frame: NDArray[np.uint8]) -> list[TextLine]:
        """Return the lines in a uint8 (height, width, 3) RGB picture, best guess of reading order."""


class RapidTextReader:
    """PP-OCR detection and recognition by rapidocr and onnxruntime on one thread; the models lie in rapidocr's wheel."""

    def __init__(self, settings: TextReaderSettings) -> None:
        """Loads the models; raises StageError with the remedy when they do not load."""
        self._engine = _load_rapidocr(settings)

    def read(self, frame: NDArray[np.uint8]) -> list[TextLine]:
        found = self._engine(np.ascontiguousarray(frame[..., ::-1]))
        if found.txts is None or found.boxes is None:
            return []
        size = np.array(frame.shape[1::-1], np.float32)
        return [
            TextLine(str(text), float(score), (np.asarray(box, np.float32) / size).round(4))
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        ]


@lru_cache(maxsize=1)
def open_reader(settings: TextReaderSettings) -> TextReader:
    """Return this process's reader, loaded once."""
    return RapidTextReader(settings)


def lines_to_json(lines: Sequence[TextLine]) -> str:
    """Return lines as a JSON array of [text, confidence, x0, y0, … y3]."""
    rows = [[line.text, round(line.confidence, 4), *line.quad.ravel().round(4).tolist()] for line in lines]
    return json.dumps(rows, ensure_ascii=False)


def lines_from_json(content: str) -> list[TextLine]:
    """Return the lines that `lines_to_json` wrote."""
    return [TextLine(row[0], row[1], np.array(row[2:], np.float32).reshape(4, 2)) for row in json.loads(content)]


def _load_rapidocr(settings: TextReaderSettings) -> Any:
    # Set before onnxruntime is loaded: the pool's processes already fill the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from rapidocr import RapidOCR

    parameters: dict[str, object] = {
        "Global.use_cls": False,
        "Global.log_level": "error",
        "Det.limit_type": "max",
        "Det.limit_side_len": settings.longest_side,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    if settings.recogniser is not None:
        parameters |= {"Rec.model_path": settings.recogniser, "Rec.rec_keys_path": settings.recogniser_characters}
    try:
        return RapidOCR(params=parameters)
    except Exception as error:
        raise StageError(
            f"The text reader could not be loaded: {error}. Reinstall the package rapidocr, correct "
            "matches.reader.recogniser, or switch text off with matches.text=false."
        ) from error
