"""The reader of print, with the models that come in rapidocr's wheel, and the spelling of what it
misread.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import TextReaderSettings
from clustering_pipeline.stages.matching.text_reader import (
    RapidTextReader,
    TextLine,
    usually_spelled,
)

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
            "Rec.rec_batch_num": 1,
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


QUAD = np.array([[0, 0], [1, 0], [1, 0.1], [0, 0.1]], np.float32)


def packs(*texts, confidence=0.9):
    return {row: [TextLine(text, confidence, QUAD)] for row, text in enumerate(texts)}


def spelled(*texts):
    return [lines[0].text for lines in usually_spelled(packs(*texts)).values()]


def test_a_misread_word_is_spelled_as_most_packs_spell_it():
    usual = ["Micellar water"] * 3
    assert spelled(*usual, "Miceliar watcr 400 ml")[3] == "micellar water 400 ml"


def test_accents_and_capitals_do_not_make_another_word():
    assert spelled("Dưỡng ẩm", "DUONG AM", "duong", "Dương", "duonq")[4] == "duong"


def test_words_that_are_about_as_usual_are_two_words():
    texts = ["bright"] * 3 + ["bricht"] * 2
    assert spelled(*texts) == texts


def test_short_words_and_numbers_stay_as_read():
    texts = ["BHA 100ml"] * 5 + ["AHA 180ml"]
    assert spelled(*texts) == texts


def test_long_words_may_differ_in_two_letters_and_shorter_ones_in_one():
    assert spelled(*["moisturizer", "toner"] * 3, "moistunzer", "tanen")[6:] == [
        "moisturizer",
        "tanen",
    ]


def test_of_two_usual_words_the_nearer_is_meant_and_then_the_more_usual():
    near = ["cleansing"] * 3 + ["cleaning"] * 6
    assert spelled(*near, "clearsing")[9] == "cleansing"
    assert spelled(*["night"] * 4, *["light"] * 5, "might")[9] == "light"


def test_a_misreading_of_a_misreading_is_spelled_right():
    assert spelled(*["vietnam"] * 9, *["vietnar"] * 3, "vietnor")[12] == "vietnam"


def test_badly_read_lines_vote_for_no_spelling():
    lines = packs(*["lotlon"] * 3, confidence=0.3) | {3: packs("lotion")[0]}
    assert usually_spelled(lines)[3][0].text == "lotion"


def test_places_and_confidence_stay():
    line = usually_spelled(packs(*["sunscreen"] * 3, "sunscraen"))[3][0]
    assert line.confidence == 0.9
    assert line.quad is QUAD


@given(st.lists(st.text(max_size=40), max_size=12))
def test_any_text_keeps_its_lines(texts):
    once = usually_spelled(packs(*texts))
    assert sorted(once) == list(range(len(texts)))
    assert all(len(lines) == 1 for lines in once.values())
