"""Vietnamese lettering with nothing but Pillow's own font.

The font that Pillow carries has the Latin letters without Vietnamese diacritics, so those are drawn
here as strokes over the letter: pictures are then the same on every machine, whatever fonts it has.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Style = Literal["plain", "bold", "heavy", "wide", "italic", "condensed", "serif", "script"]
STYLES: tuple[Style, ...] = get_args(Style)

# Strokes in units of the mark's width and height, from its top left corner.
_ABOVE = {
    "\u0300": [(0.2, 0.0), (0.75, 1.0)],
    "\u0301": [(0.25, 1.0), (0.8, 0.0)],
    "\u0302": [(0.05, 1.0), (0.5, 0.1), (0.95, 1.0)],
    "\u0303": [(0.0, 0.9), (0.25, 0.3), (0.5, 0.6), (0.75, 0.9), (1.0, 0.3)],
    "\u0306": [(0.05, 0.1), (0.25, 0.8), (0.5, 1.0), (0.75, 0.8), (0.95, 0.1)],
    "\u0309": [(0.3, 0.15), (0.6, 0.0), (0.7, 0.4), (0.45, 0.7), (0.45, 1.0)],
}
_DOT_BELOW, _HORN = "\u0323", "\u031b"
_HERSHEY = {"serif": cv2.FONT_HERSHEY_TRIPLEX, "script": cv2.FONT_HERSHEY_SCRIPT_COMPLEX}
_STROKES = {"plain": 0.0, "bold": 0.03, "heavy": 0.05}
_STRETCH = {"wide": 1.3, "condensed": 0.72}


@dataclass(frozen=True)
class _Letter:
    glyph: str
    marks: str
    barred: bool


def _letters(text: str) -> list[_Letter]:
    letters: list[_Letter] = []
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.combining(character) and letters:
            last = letters[-1]
            letters[-1] = _Letter(last.glyph, last.marks + character, last.barred)
        elif character in "đĐ":
            letters.append(_Letter("d" if character == "đ" else "D", "", True))
        else:
            letters.append(_Letter(character, "", False))
    return letters


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "this Pillow was built without FreeType, which the synthetic pictures are lettered with"
        )
    return font


@lru_cache(maxsize=4096)
def letter(text: str, height: int, style: Style = "plain") -> NDArray[np.uint8]:
    """Return `text` as a coverage mask.

    Args:
        text: one line; Vietnamese letters are drawn whole.
        height: size of the type in pixels; the mask is about 1.5 times as high.
        style: weight or slant; `serif` and `script` take unaccented text and fall back to `bold`
            otherwise.

    Returns:
        (h, w) uint8, 0 is paper and 255 is ink; do not write into it, it is shared.
    """
    if style in _HERSHEY and text.isascii():
        return _letter_with_hershey(text, height, _HERSHEY[style])
    mask = _letter_with_pillow(text, height, _STROKES.get(style, _STROKES["bold"]))
    if style in _STRETCH:
        mask = np.asarray(
            cv2.resize(mask, None, fx=_STRETCH[style], fy=1.0, interpolation=cv2.INTER_AREA),
            np.uint8,
        )
    return _slanted(mask) if style == "italic" else mask


def _letter_with_hershey(text: str, height: int, face: int) -> NDArray[np.uint8]:
    thickness = max(1, height // 16)
    scale = cv2.getFontScaleFromHeight(face, max(4, int(height * 0.72)), thickness)
    (width, ascent), descent = cv2.getTextSize(text, face, scale, thickness)
    mask = np.zeros((ascent + 2 * descent + 4, width + 8), np.uint8)
    cv2.putText(
        mask, text, (4, ascent + descent // 2 + 2), face, scale, 255, thickness, cv2.LINE_AA
    )
    return mask


def _letter_with_pillow(text: str, height: int, stroke: float) -> NDArray[np.uint8]:
    font, letters = _font(height), _letters(text)
    stroke_width = round(height * stroke)
    advances = [font.getlength(item.glyph) + stroke_width for item in letters]
    width = int(sum(advances)) + height // 2
    picture = Image.new("L", (max(width, 1), int(height * 1.55)))
    draw = ImageDraw.Draw(picture)
    left, baseline = height * 0.15, height * 1.15
    for item, advance in zip(letters, advances, strict=True):
        draw.text(
            (left, baseline),
            item.glyph,
            fill=255,
            font=font,
            anchor="ls",
            stroke_width=stroke_width,
        )
        _draw_marks(draw, item, (left, baseline), advance, height)
        left += advance
    return np.asarray(picture)


def _draw_marks(
    draw: ImageDraw.ImageDraw,
    item: _Letter,
    origin: tuple[float, float],
    advance: float,
    height: int,
) -> None:
    left, baseline = origin
    pen, is_capital = max(1, round(height * 0.075)), item.glyph.isupper()
    top = baseline - height * (0.74 if is_capital else 0.56)
    if item.barred:
        bar = baseline - height * (0.36 if is_capital else 0.6)
        bar_left = left - height * 0.02 if is_capital else left + advance * 0.4
        draw.line([(bar_left, bar), (bar_left + height * 0.34, bar)], fill=255, width=pen)
    if _HORN in item.marks:
        right = left + advance * 0.86
        draw.line(
            [(right, top + height * 0.1), (right + height * 0.12, top - height * 0.04)],
            fill=255,
            width=pen,
        )
    if _DOT_BELOW in item.marks:
        centre, radius = left + advance / 2, height * 0.055
        below = baseline + height * 0.16
        draw.ellipse([centre - radius, below - radius, centre + radius, below + radius], fill=255)
    _draw_marks_above(
        draw,
        [mark for mark in item.marks if mark in _ABOVE],
        (left + advance / 2, top),
        height,
        pen,
    )


def _draw_marks_above(
    draw: ImageDraw.ImageDraw,
    marks: list[str],
    centre_top: tuple[float, float],
    height: int,
    pen: int,
) -> None:
    centre, top = centre_top
    width, tall = height * 0.3, height * 0.13
    for level, mark in enumerate(marks):
        # A tone over a circumflex or breve stands to its upper right, as it is printed.
        left = centre - width / 2 + level * width * 0.55
        upper = top - tall * 1.35 - level * tall * 0.75
        draw.line(
            [(left + x * width, upper + y * tall) for x, y in _ABOVE[mark]],
            fill=255,
            width=pen,
            joint="curve",
        )


def _slanted(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = mask.shape
    lean = 0.22
    shear = np.array([[1, -lean, lean * height], [0, 1, 0]], np.float32)
    return cv2.warpAffine(mask, shear, (width + int(lean * height), height)).astype(
        np.uint8, copy=False
    )


def print_text(
    picture: NDArray[np.uint8],
    text: str,
    centre: tuple[float, float],
    colour: tuple[int, int, int],
    *,
    height: int,
    style: Style = "plain",
    largest_width: int | None = None,
) -> None:
    """Print `text` onto an (h, w, 3) uint8 picture in place.

    Args:
        picture: what is printed on; parts of the text outside it are cut off.
        text: one line.
        centre: (x, y) of the middle of the text in pixels.
        colour: of the ink, in the picture's channel order.
        height: size of the type in pixels.
        style: see `letter`.
        largest_width: pixels; a longer text is set in a smaller size.
    """
    mask = letter(text, height, style)
    if largest_width is not None and mask.shape[1] > largest_width:
        mask = letter(text, max(7, int(height * largest_width / mask.shape[1])), style)
    blend(
        picture,
        mask,
        (int(centre[0] - mask.shape[1] / 2), int(centre[1] - mask.shape[0] / 2)),
        colour,
    )


def blend(
    picture: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    corner: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    """Paint `colour` through an (h, w) uint8 coverage mask whose top left corner is at `corner` (x,
    y), in place.
    """
    x, y = corner
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], picture.shape[1]), min(y + mask.shape[0], picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    coverage = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.uint16)
    region = picture[y0:y1, x0:x1]
    ink = np.asarray(colour, np.uint16)
    region[:] = ((region * (255 - coverage) + ink * coverage) // 255).astype(np.uint8)
