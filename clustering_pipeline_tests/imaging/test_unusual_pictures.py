"""Pictures that every browser shows: with damage beside their pixels, without an end, white on
nothing, beginning blank, or turned; and those that take for ever.
"""

import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from benchmarks.unfolding_files import animated, deep, palette, transparent
from clustering_pipeline.imaging import ImageError, ImageLimits, decode_image, pixels, probe
from clustering_pipeline.imaging.headers import jpeg_scans, png_pixels
from clustering_pipeline_tests.imaging.test_decoding import encode, grey_of

END = b"\0\0\0\0IEND\xaeB`\x82"


@pytest.fixture
def noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))


def chunk(name, content, right=True):
    checksum = zlib.crc32(name + content) if right else 0
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def with_chunk(png, added):
    return png[:33] + added + png[33:]


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"zTXt", b"XML\0\0" + zlib.compress(b"x" * 3_000_000)),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"tEXt", b"Comment\0hello", right=False),
        chunk(b"eXIf", b"broken", right=False),
        chunk(b"tEXt", b"k\0v") * 50_000,
    ],
    ids=["3 MB of text", "3 MB of profile", "wrong checksum", "broken EXIF", "50,000 texts"],
)
def test_what_stands_beside_the_pixels_of_a_png_does_not_matter(noise, added):
    content = with_chunk(encode(noise, "PNG"), added)
    assert np.array_equal(decode_image(content), np.asarray(noise))
    assert probe(content).width == 160


@pytest.mark.parametrize("left_out", [12, 8, 4, 1])
def test_a_png_that_lacks_nothing_but_its_end_is_whole(noise, left_out):
    content = encode(noise, "PNG")
    assert np.array_equal(decode_image(content[:-left_out]), np.asarray(noise))


def test_a_png_without_its_last_rows_is_cut_off(noise):
    content = encode(noise, "PNG")
    for kept in (content[:-13], content[:-40], content[: len(content) // 2]):
        with pytest.raises(ImageError) as caught:
            decode_image(kept)
        assert caught.value.kind == "truncated"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_after_the_signature_are_walked_over(tail):
    kept = png_pixels(b"\x89PNG\r\n\x1a\n" + tail)
    assert kept.startswith(b"\x89PNG") and len(kept) <= len(tail) + 8 + len(END)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("left_out", [1, 2])
def test_a_jpeg_that_lacks_nothing_but_its_end_is_whole(noise, progressive, left_out):
    content = encode(noise, "JPEG", progressive=progressive, quality=90)
    assert np.array_equal(decode_image(content[:-left_out]), decode_image(content))
    assert np.array_equal(grey_of(content[:-left_out]), grey_of(content))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
def test_a_jpeg_that_lacks_pixels_is_cut_off(noise, progressive, share):
    content = encode(noise, "JPEG", progressive=progressive, quality=90)
    for at_least in (None, 1):
        with pytest.raises(ImageError) as caught:
            decode_image(content[: int(share * len(content))], at_least=at_least)
        assert caught.value.kind == "truncated"


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("format", ["TIFF", "PNG", "WEBP", "AVIF", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_once(format, orientation):
    picture = Image.new("RGB", (64, 32), (0, 0, 0))
    picture.paste((250, 250, 250), (0, 0, 32, 16))
    content = encode(picture, format, exif=turned(orientation))
    upright = decode_image(encode(picture, "PNG", exif=turned(orientation)))
    pixels = decode_image(content)
    assert pixels.shape == upright.shape == (*((32, 64) if orientation < 5 else (64, 32)), 3)
    assert np.abs(pixels.astype(int) - upright).mean() < 12
    assert (probe(content).height, probe(content).width) == pixels.shape[:2]


def test_a_white_mark_on_nothing_is_shown_over_a_ground_that_shows_it():
    picture = Image.new("RGBA", (80, 60), (255, 255, 255, 0))
    ImageDraw.Draw(picture).ellipse((20, 20, 60, 40), (255, 255, 255, 255))
    pixels = decode_image(encode(picture, "PNG"))
    assert pixels[30, 40].tolist() == [255, 255, 255] and pixels[2, 2].max() < 128
    assert int(np.ptp(grey_of(encode(picture, "PNG")))) > 100


def test_a_dark_mark_on_nothing_stays_on_white():
    picture = Image.new("RGBA", (80, 60), (255, 255, 255, 0))
    ImageDraw.Draw(picture).ellipse((20, 20, 60, 40), (10, 10, 10, 255))
    assert decode_image(encode(picture, "WEBP", lossless=True))[2, 2].tolist() == [255, 255, 255]


def frames(*shades):
    pictures = []
    for shade in shades:
        picture = Image.new("RGB", (60, 60), (255, 255, 255))
        picture.paste((shade, shade, shade), (20, 20, 40, 40))
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_that_fades_in_shows_its_clearest_frame(format):
    first, *others = frames(255, 200, 20, 120)
    content = encode(first, format, save_all=True, append_images=others)
    assert decode_image(content)[30, 30].max() < 40


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_that_shows_something_shows_its_first_frame(format):
    first, *others = frames(120, 20)
    content = encode(first, format, save_all=True, append_images=others)
    assert 110 < decode_image(content)[30, 30].max() < 130


def test_the_pages_of_a_tiff_are_no_animation():
    first, *others = frames(255, 20)
    content = encode(first, "TIFF", save_all=True, append_images=others)
    assert decode_image(content).min() == 255


def with_scans(count, side=64):
    content = encode(Image.new("L", (side, side), 90), "JPEG", progressive=True, quality=1)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + content[-2:]


def test_scans_are_counted():
    plain = encode(Image.new("L", (64, 64), 90), "JPEG", progressive=True, quality=1)
    assert jpeg_scans(with_scans(50)) == jpeg_scans(plain) + 50
    assert jpeg_scans(encode(Image.new("RGB", (64, 64)), "JPEG")) == 1


def test_a_jpeg_with_hundreds_of_scans_over_many_pixels_is_refused_at_once():
    content = with_scans(600, side=6200)
    started = time.process_time()
    with pytest.raises(ImageError, match="scans") as caught:
        decode_image(content)
    assert caught.value.kind == "bomb" and time.process_time() - started < 1


def test_many_scans_of_a_small_jpeg_are_harmless():
    assert decode_image(with_scans(600)).shape == (64, 64, 3)


def test_an_embedded_preview_counts_for_nothing():
    preview = with_scans(300, side=8)[:60_000]
    plain = encode(Image.new("RGB", (200, 200), (9, 90, 200)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    limits = ImageLimits(largest_scanned=200 * 200 * 10)
    assert decode_image(plain[:2] + segment + plain[2:], limits).shape == (200, 200, 3)


def test_an_orientation_behind_the_pixels_of_a_png_is_read_without_decoding_them(
    noise, monkeypatch
):
    plain = encode(noise, "PNG")
    content = plain[:-12] + chunk(b"eXIf", turned(6).tobytes()[6:]) + plain[-12:]
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda _: pytest.fail("decoded"))
    assert (probe(content).width, probe(content).height) == (120, 160)
    assert (probe(plain).width, probe(plain).height) == (160, 120)


@pytest.mark.parametrize("make", [transparent, palette, deep, animated])
def test_large_pictures_are_converted_a_band_at_a_time_to_the_same_pixels(make, monkeypatch):
    content = make((90, 70))
    whole = decode_image(content)
    monkeypatch.setattr(pixels, "_BAND_PIXELS", 90 * 8)
    assert np.array_equal(decode_image(content), whole)


def test_what_a_colourful_picture_with_transparency_shows_does_not_depend_on_bands(monkeypatch):
    values = np.random.default_rng(5).integers(0, 256, (50, 40, 4), np.uint8)
    grey = np.random.default_rng(6).integers(0, 60_000, (50, 40), np.uint16)
    contents = [encode(Image.fromarray(one), "PNG") for one in (values, grey)]
    whole = [decode_image(content) for content in contents]
    monkeypatch.setattr(pixels, "_BAND_PIXELS", 40 * 7)
    for content, expected in zip(contents, whole, strict=True):
        assert np.array_equal(decode_image(content), expected)


def test_the_largest_picture_takes_its_size_a_few_times_at_most(tmp_path):
    """80 million pixels of 16 bits, 0.2 MB as a file, are 240 MB of RGB."""
    file = tmp_path / "large.png"
    file.write_bytes(deep((10_000, 8_000)))
    script = (
        "import sys; from pathlib import Path\n"
        "from clustering_pipeline.imaging import decode_image\n"
        "decode_image(Path(sys.argv[1]).read_bytes())\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=True
    )
    assert int(answer.stdout) < 1_300_000
