"""What a disk refuses, in words."""

from pathlib import Path

import pytest

from clustering_pipeline.core.errors import StageError, disk_errors


def test_a_file_that_may_not_be_read_is_named_with_a_remedy(tmp_path, rights_hold):
    path = tmp_path / "cat.json"
    path.touch(mode=0)
    words = r"cat\.json cannot be read.*Permission.*this account"
    with pytest.raises(StageError, match=words), disk_errors():
        path.read_text()


def test_a_full_disk_is_told():
    words = r"A file cannot be.*No space.*free some space"
    with pytest.raises(StageError, match=words), disk_errors():
        Path("/dev/full").write_bytes(b"1")


@pytest.mark.parametrize("kind", [FileNotFoundError, ConnectionRefusedError, TimeoutError])
def test_what_says_nothing_of_a_disk_stays_what_it_is(kind):
    with pytest.raises(kind), disk_errors():
        raise kind
