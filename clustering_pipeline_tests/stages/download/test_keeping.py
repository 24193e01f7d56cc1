from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clustering_pipeline.imaging import ImageError
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download import FAILURE_KINDS
from clustering_pipeline.stages.download.journal import image_limits, verify
from clustering_pipeline_tests.stages.download import corpus
from clustering_pipeline_tests.stages.download.conftest import picture

LIMITS = image_limits(DownloadSettings(max_pixels=1_000_000))
FILES = [content for content, _ in corpus.FILES.values() if len(content) < 50_000]


@st.composite
def damaged_files(draw):
    """A picture with bytes changed, cut out, doubled or cut off."""
    content = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        start = draw(st.integers(0, len(content) - 1))
        end = start + draw(st.integers(0, 64))
        content[start:end] = draw(st.binary(max_size=64) | st.just(bytes(content[start:end]) * 2))
    return bytes(content)


def judge(content):
    try:
        facts = verify(content, LIMITS)
    except ImageError as error:
        assert error.kind in FAILURE_KINDS
        assert error.sentence.strip()
    else:
        assert facts.width * facts.height <= 1_000_000


@hypothesis_settings(max_examples=400, deadline=None)
@given(damaged_files())
def test_any_damaged_picture_is_a_picture_or_has_a_kind(content):
    judge(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_have_a_kind(content):
    judge(content)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]), st.integers(1, 200))
def test_a_cut_off_picture_never_counts_as_whole_unless_only_its_tail_is_gone(format, missing):
    content = picture(format=format)
    try:
        verify(content[:-missing], LIMITS)
    except ImageError as error:
        assert error.kind in ("truncated", "not_an_image")
    else:
        # The end-of-file marks and the trailing checksums hold no pixels.
        assert missing <= 16
