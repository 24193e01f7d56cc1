"""When each category is due."""

from datetime import UTC, datetime, timedelta

from clustering_pipeline.orchestration.schedules import (
    LATEST,
    TICK_MINUTES,
    latest_moment,
    next_moment,
    stagger,
)
from clustering_pipeline.settings import RefreshSettings

# Monday 02:00 in Ho Chi Minh City.
MONDAY = datetime(2025, 3, 2, 19, 0, tzinfo=UTC)
AT_ONCE = RefreshSettings(stagger_minutes=0)


def test_a_category_is_due_from_its_moment_until_it_is_too_late():
    assert latest_moment("serum", AT_ONCE, MONDAY - timedelta(minutes=1)) is None
    assert latest_moment("serum", AT_ONCE, MONDAY) == MONDAY
    assert latest_moment("serum", AT_ONCE, MONDAY + timedelta(hours=3)) == MONDAY
    assert latest_moment("serum", AT_ONCE, MONDAY + LATEST) is None


def test_fifty_categories_do_not_start_together():
    settings = RefreshSettings(stagger_minutes=360)
    moments = [stagger(f"category-{number}", 360) for number in range(50)]
    assert len(set(moments)) > 20
    assert all(0 <= moment <= 360 and moment % TICK_MINUTES == 0 for moment in moments)
    assert latest_moment(
        "category-1", settings, MONDAY + timedelta(minutes=360)
    ) == MONDAY + timedelta(minutes=moments[1])


def test_a_category_keeps_its_moment():
    assert stagger("serum", 360) == stagger("serum", 360)


def test_a_disabled_refresh_is_never_due():
    assert latest_moment("serum", RefreshSettings(enabled=False), MONDAY) is None


def test_the_next_moment_is_when_the_category_is_due_and_not_before():
    settings = RefreshSettings(stagger_minutes=360)
    moment = next_moment("serum", settings, MONDAY)
    assert moment == MONDAY + timedelta(minutes=stagger("serum", 360))
    assert latest_moment("serum", settings, moment) == moment
    assert next_moment("serum", settings, moment) == moment + timedelta(days=7)
    assert next_moment("serum", RefreshSettings(enabled=False), MONDAY) is None
