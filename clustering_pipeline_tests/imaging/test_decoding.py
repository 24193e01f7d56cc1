"""Hostile and unusual pictures through the one decoder."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clustering_pipeline.imaging import (
    ImageError,
    ImageLimits,
    decode_image,
    decode_reduced,
    probe,
    thumbnail,
)


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def grey_of(content: bytes) -> np.ndarray:
    return decode_reduced(content, None, grey=True).picture


@pytest.fixture
def photo() -> Image.Image:
    """Left half red, right half blue, 64 wide and 32 high."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32, 0] = 200
    pixels[:, 32:, 2] = 200
    return Image.fromarray(pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_readable_formats_keep_size_and_colour(photo, format):
    content = encode(photo, format)
    pixels = decode_image(content)
    assert pixels.shape == (32, 64, 3) and pixels.dtype == np.uint8
    assert abs(pixels[16, 8].astype(int) - [200, 0, 0]).max() < 12
    facts = probe(content)
    assert (facts.format, facts.width, facts.height) == (format, 64, 32)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
)
def test_every_colour_mode_becomes_rgb(mode):
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (16, 1))
    image = Image.fromarray(ramp)
    if mode == "I;16":
        content = encode(Image.fromarray(ramp.astype(np.uint16) * 257), "PNG")
    elif mode in ("I", "F"):
        content = encode(image.convert(mode), "TIFF")
    else:
        content = encode(
            (image.convert("RGB") if mode in ("CMYK", "YCbCr") else image).convert(mode), "TIFF"
        )
    pixels = decode_image(content)
    assert pixels.shape == (16, 64, 3)
    assert int(pixels[8, 60, 1]) >= int(pixels[8, 3, 1])


def test_sixteen_bits_keep_their_brightness():
    values = np.full((16, 16), 32896, np.uint16)
    assert decode_image(encode(Image.fromarray(values), "PNG"))[0, 0].tolist() == [128, 128, 128]


def test_transparency_is_laid_over_white():
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert decode_image(encode(image, "PNG")).min() == 255


def test_palette_transparency_is_laid_over_white():
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 0] * 256)
    assert decode_image(encode(image, "PNG", transparency=0)).min() == 255


@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [(1, "left"), (3, "right"), (6, "top"), (8, "bottom"), (2, "right")],
)
def test_exif_orientation_turns_the_picture_upright(photo, orientation, red_corner):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(photo, "JPEG", exif=exif, quality=95)
    pixels = decode_image(content)
    height, width = pixels.shape[:2]
    where = {
        "left": (height // 2, 3),
        "right": (height // 2, width - 4),
        "top": (3, width // 2),
        "bottom": (height - 4, width // 2),
    }
    red, _, blue = pixels[where[red_corner]]
    assert red > 150 and blue < 80
    facts = probe(content)
    assert (facts.width, facts.height) == (width, height)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "not_an_image", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image", "HTML"),
        (b'{"error": "gone"}', "not_an_image", "JSON"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(64), "unsupported_format", "HEIC"),
        (b"8BPS" + bytes(60), "unsupported_format", "Photoshop"),
        (b"\x89PNG\r\n\x1a\n", "truncated", "PNG"),
        (b"\xff\xd8\xff\xe0", "truncated", "JPEG"),
        (b"just some words", "not_an_image", "not a picture"),
    ],
)
def test_what_is_no_picture_says_what_it_is(content, kind, words):
    with pytest.raises(ImageError, match=words) as caught:
        decode_image(content)
    assert caught.value.kind == kind


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_cut_file_is_truncated(format):
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    )
    content = encode(noise, format)
    with pytest.raises(ImageError) as caught:
        decode_image(content[: len(content) // 2])
    assert caught.value.kind == "truncated"


def test_a_flipped_byte_in_a_png_is_damage():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))
    content = bytearray(encode(noise, "PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ImageError) as caught:
        decode_image(bytes(content))
    assert caught.value.kind == "truncated"


def test_grey_is_the_luma_of_the_picture(photo):
    png = grey_of(encode(photo, "PNG"))
    assert png.shape == (32, 64) and png[0, 0] == round(200 * 0.299)
    jpeg = grey_of(encode(photo, "JPEG", quality=95))
    assert abs(jpeg.astype(int) - png).mean() < 2
    assert grey_of(encode(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG")).min() == 255


def large_photo(width: int = 1600, height: int = 1500) -> Image.Image:
    """A yellow bar at 400, 300 to 1200, 1000 on waves of blue."""
    waves = (110 + 60 * np.sin(np.arange(width) / 90)).astype(np.uint8)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = waves
    pixels[300:1000, 400:1200] = (230, 220, 20)
    return Image.fromarray(pixels)


def test_a_large_jpeg_is_decoded_at_the_size_that_its_region_needs():
    content = encode(large_photo(), "JPEG", quality=92)
    whole = decode_reduced(content, None)
    assert whole.picture.shape == (750, 800, 3)
    assert (whole.box, whole.scale) == ((0, 0, 800, 750), 2.0)
    small = decode_reduced(content, (400, 300, 1200, 1000))
    assert (small.picture.shape, small.scale) == ((1500, 1600, 3), 1.0)
    assert decode_reduced(encode(large_photo(), "PNG"), None).picture.shape == (1500, 1600, 3)
    assert decode_reduced(content, None, at_least=1_000).scale == 1.0
    huge = decode_reduced(encode(large_photo(6400, 6000), "JPEG"), None)
    assert huge.picture.shape == (750, 800, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_region_of_a_reduced_picture_shows_the_same(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(large_photo(2800, 2600), "JPEG", quality=92, exif=exif)
    full = decode_image(content)
    box = (100, 200, full.shape[1] - 1, full.shape[0] - 301)
    reduced = decode_reduced(content, box)
    assert reduced.scale == 2.0
    region = reduced.region
    expected = Image.fromarray(full[box[1] : box[3], box[0] : box[2]]).resize(
        region.shape[1::-1], Image.Resampling.BOX
    )
    assert abs(region.astype(int) - np.asarray(expected)).mean() < 2
    inner = (200, 100, 1801, 1500)
    assert reduced.reduced(inner) == (100, 50, 901, 750)
    assert reduced.restored((100, 50, 901, 750), box) == (200, 100, 1802, 1500)


def test_grey_is_reduced_alike():
    content = encode(large_photo(), "JPEG", quality=92)
    grey = decode_reduced(content, (0, 0, 1600, 1500), grey=True)
    assert grey.picture.shape == (750, 800)
    colours = np.asarray(Image.fromarray(decode_reduced(content, None).picture).convert("L"))
    assert abs(grey.picture.astype(int) - colours).mean() < 2


def test_limits_are_checked_before_decoding(photo):
    content = encode(photo, "BMP")
    with pytest.raises(ImageError) as caught:
        decode_image(content[:60], ImageLimits(largest_pixels=1000))
    assert caught.value.kind == "bomb"
    with pytest.raises(ImageError) as caught:
        decode_image(content, ImageLimits(smallest_side=33))
    assert caught.value.kind == "too_small"


def test_a_bomb_is_refused_by_default():
    with pytest.raises(ImageError) as caught:
        decode_image(encode(Image.new("1", (10_000, 10_000)), "PNG"))
    assert caught.value.kind == "bomb"


@given(
    st.binary(max_size=400),
    st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"RIFF"]
    ),
)
def test_any_bytes_give_a_picture_or_an_image_error(tail, head):
    try:
        pixels = decode_image(head + tail)
    except ImageError as error:
        assert error.sentence.endswith(".")
    else:
        assert pixels.ndim == 3


@given(st.data())
def test_damaged_pictures_give_a_picture_or_an_image_error(data):
    format = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]))
    content = bytearray(encode(Image.new("RGB", (24, 18), (250, 120, 10)), format))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_image(bytes(content), ImageLimits(largest_pixels=100_000)).ndim == 3
    except ImageError as error:
        assert error.kind


def test_reduced_decoding_keeps_enough_pixels():
    content = encode(Image.new("RGB", (1600, 800), (9, 90, 200)), "JPEG")
    reduced = decode_image(content, at_least=180)
    assert reduced.shape == (200, 400, 3)
    assert decode_image(thumbnail(content, 160)).shape == (80, 160, 3)


def test_damage_is_not_told_on_the_terminal():
    script = (
        "import io; from PIL import Image; from clustering_pipeline.imaging import ImageError, "
        "probe\n"
        "file = io.BytesIO(); Image.new('1', (10_000, 10_000)).save(file, 'PNG')\n"
        "try: probe(file.getvalue())\nexcept ImageError as error: print(error.kind)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (answer.stdout.strip(), answer.stderr) == ("bomb", "")
