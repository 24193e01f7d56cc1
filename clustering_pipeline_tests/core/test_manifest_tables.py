"""Equal tables give equal bytes, however they were put together."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clustering_pipeline.core.manifests import (
    OVERRULED_PICTURES,
    RAW_IMAGES,
    conform,
    content_version,
    joined_frames,
    to_frame,
)

ROWS = 40_000


def pictures(listings: list[int]) -> pd.DataFrame:
    """Return RAW_IMAGES without its types."""
    frame = pd.DataFrame({"listing": listings, "position": 0}).reindex(
        columns=RAW_IMAGES.schema.names
    )
    digests = [hashlib.sha256(str(listing).encode()).hexdigest() for listing in listings]
    named = frame.assign(image_sha256=digests, url=[f"http://h/{one}" for one in listings])
    return named.assign(status="ok", error=None)


def test_parts_and_order_do_not_show_in_the_bytes():
    listings = np.random.default_rng(1).permutation(ROWS).tolist()
    whole = conform(pictures(listings), RAW_IMAGES)
    parts = (pictures(listings[start : start + 70]) for start in range(0, ROWS, 70))
    joined = to_frame(joined_frames(parts, RAW_IMAGES.schema))
    later = pd.concat([whole.iloc[:999], whole.iloc[999:]])
    assert whole["listing"].tolist() == list(range(ROWS))
    versions = {
        content_version(one, RAW_IMAGES) for one in (whole, conform(joined, RAW_IMAGES), later)
    }
    assert len(versions) == 1


def test_text_of_a_manifest_takes_little_more_than_its_letters():
    frame = conform(pictures(list(range(ROWS))), RAW_IMAGES)
    assert frame["image_sha256"].memory_usage(deep=True, index=False) < 80 * ROWS


def test_no_frames_make_an_empty_table():
    assert joined_frames([], RAW_IMAGES.schema).equals(RAW_IMAGES.schema.empty_table())


def test_a_row_that_is_there_twice_is_named():
    twice = pd.DataFrame({"image_sha256": ["b", "a", "b"]})
    with pytest.raises(ValueError, match=r"not unique, e\.g\. \{'image_sha256': 'b'\}"):
        conform(twice, OVERRULED_PICTURES)


def test_a_value_of_another_type_is_refused():
    schema = pa.schema([("listing", pa.int64())])
    with pytest.raises(pa.ArrowInvalid):
        joined_frames([pd.DataFrame({"listing": ["one"]})], schema)
