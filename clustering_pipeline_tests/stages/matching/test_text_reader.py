"""The reader of print, with the models that come in rapidocr's wheel."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import TextReaderSettings
from clustering_pipeline.stages.matching.text_reader import RapidTextReader

rapidocr = pytest.importorskip("rapidocr")


def pack():
    picture = np.full((360, 480, 3), 240, np.uint8)
    for number, words in enumerate(["SUNSCREEN SPF50", "WATER GEL", "200 ML"]):
        place = (40, 90 + 100 * number)
        cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 1.3, (30, 40, 120), 3)
    return picture


def test_a_detector_without_subnormal_weights_finds_the_same_lines():
    settings = TextReaderSettings()
    read = RapidTextReader(settings).read(pack())
    as_it_comes = rapidocr.RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Det.limit_side_len": settings.longest_side,
        }
    )(np.ascontiguousarray(pack()[..., ::-1]))
    assert [line.text for line in read] == list(as_it_comes.txts)
    assert len(read) == 3
    np.testing.assert_allclose([line.confidence for line in read], as_it_comes.scores, atol=1e-4)


def test_a_picture_without_print_has_no_lines():
    assert RapidTextReader(TextReaderSettings()).read(np.zeros((64, 64, 3), np.uint8)) == []


def test_a_recogniser_that_is_no_model_is_named(tmp_path: Path):
    (tmp_path / "vi.onnx").write_bytes(b"no model")
    (tmp_path / "vi.txt").write_text("a\nb\n")
    settings = TextReaderSettings(
        recogniser=str(tmp_path / "vi.onnx"), recogniser_characters=str(tmp_path / "vi.txt")
    )
    with pytest.raises(StageError, match=r"matches\.reader\.recogniser"):
        RapidTextReader(settings).read(pack())
