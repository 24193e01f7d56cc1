"""Work in a process with limits: its result, its refusal, and what becomes of one that takes too much."""

import os

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.security import ConfinedError, confined
from clustering_pipeline.imaging import ImageError


def add(first, second=0):
    return first + second


def refuse(name):
    raise InputError(f"{name} is no table. Give another.")


def damage():
    raise ImageError("truncated", "The picture is cut off.")


def unfold(megabytes):
    return len(bytearray(megabytes * 2**20))


def spin():
    while True:
        pass


def die():
    os.abort()


def test_the_result_comes_back():
    assert confined(add, 100, 20, 2, second=3) == 5


def test_a_refusal_keeps_its_words():
    with pytest.raises(InputError, match="no table"):
        confined(refuse, 100, 20, "c.xlsx")


def test_other_errors_are_met_where_the_work_was_asked_for():
    with pytest.raises(ImageError, match="cut off"):
        confined(damage, 100, 20)


def test_memory_has_a_limit():
    assert confined(unfold, 600, 20, 300) == 300 * 2**20
    with pytest.raises(ConfinedError, match="100 MB"):
        confined(unfold, 100, 20, 300)


@pytest.mark.parametrize("work", [spin, die])
def test_work_that_has_no_end_or_dies_is_an_error(work):
    with pytest.raises(ConfinedError):
        confined(work, 100, 1)
