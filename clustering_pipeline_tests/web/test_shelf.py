"""What the pages hold for a while."""

import pytest

from clustering_pipeline.web.category_cache import Shelf, UnknownError


def test_what_was_not_asked_for_longest_gives_way():
    shelf: Shelf[str] = Shelf(10, "gone")
    first, second = shelf.keep("first", 4), shelf.keep("second", 4)
    assert shelf.get(first) == "first"
    third = shelf.keep("third", 4)
    with pytest.raises(UnknownError, match="gone"):
        shelf.get(second)
    assert (shelf.get(first), shelf.get(third)) == ("first", "third")


def test_the_newest_stays_however_large_it_is():
    shelf: Shelf[str] = Shelf(10, "gone")
    small, large = shelf.keep("small", 1), shelf.keep("large", 400)
    assert shelf.get(large) == "large"
    with pytest.raises(UnknownError):
        shelf.get(small)
