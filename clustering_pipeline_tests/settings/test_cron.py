"""Cron schedules."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.settings.installation import Cron

MONDAY = datetime(2025, 3, 3, 2, 0)


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("0 2 * * 1", MONDAY, True),
        ("0 2 * * mon", MONDAY, True),
        ("0 2 * * 1", MONDAY + timedelta(days=1), False),
        ("*/15 * * * *", MONDAY.replace(minute=45), True),
        ("*/15 * * * *", MONDAY.replace(minute=46), False),
        ("0 0-4,22 * jan-mar *", MONDAY, True),
        ("0 2 * * 7", MONDAY - timedelta(days=1), True),
        # Both days restricted: either will do, as in cron.
        ("0 2 15 * 1", MONDAY, True),
        ("0 2 15 * 1", datetime(2025, 3, 15, 2, 0), True),
        ("0 2 15 * 1", datetime(2025, 3, 14, 2, 0), False),
        ("5/20 * * * *", MONDAY.replace(minute=25), True),
    ],
)
def test_matches(text, moment, expected):
    assert Cron(text).matches(moment) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* * 0 * *",
        "*/0 * * * *",
        "9-5 * * * *",
        "a * * * *",
        "@weekly",
        "1,,2 * * * *",
        "0 0 30 2 *",
    ],
)
def test_what_is_no_cron_is_refused(text):
    with pytest.raises(ValueError, match="cron schedule"):
        Cron(text)


@given(st.text(alphabet="0123456789*/,- ²", max_size=20))
def test_any_text_is_a_schedule_or_refused(text):
    try:
        Cron(text)
    except ValueError as error:
        assert "cron schedule" in str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 2 * * 1", MONDAY + timedelta(days=7)),
        ("30 2,4 * * *", MONDAY.replace(minute=30)),
        ("0 1 1 * *", datetime(2025, 4, 1, 1, 0)),
        ("0 0 29 2 *", datetime(2028, 2, 29)),
    ],
)
def test_after(text, expected):
    assert Cron(text).after(MONDAY) == expected
