"""Batches of one shape, on a device whose memory is full."""

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.models import BatchRunner, ParallelRunner, load_on, processor_rows

torch = pytest.importorskip("torch")


def full_above(rows):
    def forward(batch):
        if len(batch) > rows:
            raise torch.OutOfMemoryError("no memory")
        return batch.float() * 2

    return forward


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_full_memory_halves_the_batch_and_loses_no_row(rows):
    inputs = np.arange(21, dtype=np.uint8)[:, None]
    np.testing.assert_array_equal(BatchRunner(full_above(rows), "cpu", 8)(inputs), 2.0 * inputs)


def test_a_picture_that_does_not_fit_alone_names_the_remedy():
    with pytest.raises(StageError, match=r"compute\.precision"):
        BatchRunner(full_above(0), "cpu", 8)(np.zeros((1, 1), np.uint8))


def test_kernels_that_treat_all_places_alike_take_eight_rows():
    assert processor_rows(lambda batch: batch.float().flatten(1) * 2, (3, 4, 4)) == 8


def test_kernels_that_treat_places_differently_get_one_row_at_a_time():
    def uneven(batch):
        places = torch.arange(len(batch), dtype=torch.float32)[:, None]
        return batch.float().flatten(1) + places * 1e-3

    assert processor_rows(uneven, (3, 4, 4)) == 1


def test_no_rows_give_no_rows():
    assert len(BatchRunner(full_above(1), "cpu", 8)(np.zeros((0, 4), np.uint8))) == 0


def test_batches_go_to_the_devices_in_turn_and_come_back_in_order():
    taken = []

    def forward_of(device):
        def forward(batch):
            taken.append(device)
            return batch.float()

        return forward

    runner = ParallelRunner([BatchRunner(forward_of(number), "cpu", 4) for number in range(3)])
    inputs = np.arange(24, dtype=np.uint8)[:, None]
    pending = [runner.begin(list(inputs[start : start + 4])) for start in range(0, 24, 4)]
    np.testing.assert_array_equal(np.concatenate([wait() for wait in pending]), inputs)
    assert taken == [0, 1, 2, 0, 1, 2]


def test_a_model_that_fits_once_memory_is_cleared_is_loaded():
    attempts = []

    def load():
        attempts.append(1)
        if len(attempts) == 1:
            raise torch.OutOfMemoryError("no memory")
        return "loaded"

    assert load_on("cuda:0", load, "embeddings.model") == "loaded"


def test_a_model_that_does_not_fit_names_the_setting_and_the_remedy():
    def load():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(StageError, match=r"embeddings\.model.*cuda:0.*compute\.precision"):
        load_on("cuda:0", load, "embeddings.model")
