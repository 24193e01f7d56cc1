"""Checkpoints in both formats of torch.save, whole, damaged and hostile."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models import checkpoints
from clustering_pipeline.models.checkpoints import read_tensors

torch = pytest.importorskip("torch")
FORMATS = {"zip archive": True, "older stream": False}


def tensors():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        plain=base,
        transposed=base.T,
        part=base[1:3, 2:],
        number=torch.tensor(7),
        half=torch.linspace(0, 1, 5, dtype=torch.float16),
        flags=torch.tensor([True, False]),
        nothing=torch.zeros(0, 3),
    )


def saved(folder, content, is_zip):
    path = folder / "model.pth"
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


@pytest.mark.parametrize("is_zip", FORMATS.values(), ids=FORMATS)
def test_tensors_are_those_that_were_saved(tmp_path, is_zip):
    found = read_tensors(saved(tmp_path, tensors(), is_zip))
    assert list(found) == list(tensors())
    for name, tensor in tensors().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype
        assert found[name].flags.c_contiguous


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("is_zip", FORMATS.values(), ids=FORMATS)
def test_code_in_a_file_is_refused_and_not_run(tmp_path, is_zip):
    path = saved(tmp_path, {"a": torch.zeros(2), "b": Hostile(tmp_path / "ran")}, is_zip)
    with pytest.raises(StageError, match=r"more in it than tensors \(posix.mkdir\)") as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(2)], "no dictionary of tensors"),
        ({}, "no dictionary of tensors"),
        ({"a": 3}, "more than named tensors"),
        ({"state_dict": {"a": torch.zeros(2)}}, "more than named tensors"),
        ({"a": torch.nn.Parameter(torch.zeros(2))}, "_rebuild_parameter"),
    ],
)
@pytest.mark.parametrize("is_zip", FORMATS.values(), ids=FORMATS)
def test_anything_but_named_tensors_is_refused(tmp_path, content, words, is_zip):
    with pytest.raises(StageError, match=words):
        read_tensors(saved(tmp_path, content, is_zip))


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(
        StageError, match=r"gone\.pth cannot be read: No such file.*Install the package"
    ):
        read_tensors(tmp_path / "gone.pth")


def test_a_file_above_the_limit_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, tensors(), True)
    monkeypatch.setattr(checkpoints, "LARGEST_FILE", 100)
    with pytest.raises(StageError, match="more than the 100 that are read"):
        read_tensors(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\0" * 200_000)
    monkeypatch.setattr(checkpoints, "LARGEST_PICKLE", 100_000)
    with pytest.raises(StageError, match="unpacked content is too large"):
        read_tensors(path)


def test_another_archive_and_another_pickle_are_told_apart(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(StageError, match=r"not one that torch\.save wrote"):
        read_tensors(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(StageError, match=r"no file that torch\.save wrote"):
        read_tensors(tmp_path / "b.pth")


def test_a_tensor_beyond_its_storage_is_refused():
    storage = checkpoints._Storage("0", np.dtype("<f4"), 4)
    for offset, shape, strides in ((3, (2,), (1,)), (0, (3, 3), (0, 0)), (0, (2, 2), (4, 1))):
        tensor = checkpoints._Tensor(storage, offset, shape, strides)
        with pytest.raises(Exception, match="larger than its storage"):
            tensor.view(np.zeros(4, np.float32))


@pytest.fixture(scope="module")
def contents():
    buffers = []
    for is_zip in FORMATS.values():
        buffer = io.BytesIO()
        torch.save(tensors(), buffer, _use_new_zipfile_serialization=is_zip)
        buffers.append(buffer.getvalue())
    return buffers


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    number=st.integers(0, 1),
    share=st.floats(0, 0.999),
    flip=st.integers(1, 255),
    cuts=st.booleans(),
)
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path, contents, number, share, flip, cuts):
    content = bytearray(contents[number])
    place = int(share * len(content))
    if cuts:
        content = content[:place]
    else:
        content[place] ^= flip
    path = tmp_path / "damaged.pth"
    path.write_bytes(bytes(content))
    try:
        read_tensors(path)
    except StageError as error:
        assert str(path) in str(error)
