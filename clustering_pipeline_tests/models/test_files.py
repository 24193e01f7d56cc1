import pickle

import numpy as np
import pytest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.models import (
    load_into,
    load_state_dict,
    locate_model,
    model_digest,
    pull_model,
)

torch = pytest.importorskip("torch")


def test_a_missing_model_names_the_setting_the_places_and_the_remedy(tmp_path):
    with pytest.raises(StageError) as caught:
        locate_model(
            "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
            Hardware(models_folder=tmp_path),
            "embeddings.model",
        )
    message = str(caught.value)
    assert "embeddings.model" in message
    assert "models pull clip-vit-bigg" in message
    assert str(tmp_path) in message


def test_the_models_folder_is_looked_at(tmp_path):
    folder = tmp_path / "openai--clip-vit-base-patch32"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    hardware = Hardware(models_folder=tmp_path)
    assert locate_model("clip-vit-b-32", hardware, "embeddings.model") == folder
    assert locate_model("openai/clip-vit-base-patch32", hardware, "embeddings.model") == folder


@pytest.mark.parametrize("name", ["../outside", "..", "/etc"])
def test_a_name_cannot_reach_outside_the_models_folder(tmp_path, name):
    with pytest.raises(StageError, match="not found"):
        locate_model(name, Hardware(models_folder=tmp_path / "models"), "embeddings.model")


def test_the_digest_follows_the_content_and_is_remembered(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    first = model_digest(tmp_path)
    assert model_digest(tmp_path) == first
    weights.write_bytes(b"other")
    assert model_digest(tmp_path) != first


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_damaged_memory_of_digests_costs_time_only(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    expected = model_digest(tmp_path)
    (tmp_path / ".digests.json").write_text(content)
    assert model_digest(tmp_path) == expected


class Harmful:
    def __reduce__(self):
        return (open, ("harm", "w"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"weight": Harmful()}))
    with pytest.raises(StageError, match="cannot be loaded"):
        load_state_dict(tmp_path / "model.pt")
    assert not (tmp_path / "harm").exists()


def test_training_wrappers_are_taken_off(tmp_path):
    torch.save(
        {"state_dict": {"module.weight": torch.ones(2, 3), "module.bias": torch.zeros(2)}},
        tmp_path / "model.pth",
    )
    layer = torch.nn.Linear(3, 2)
    load_into(layer, tmp_path / "model.pth")
    np.testing.assert_array_equal(layer.weight.detach().numpy(), np.ones((2, 3)))


def test_weights_of_another_model_name_what_does_not_fit(tmp_path):
    torch.save({"weight": torch.ones(2, 4)}, tmp_path / "model.pth")
    with pytest.raises(StageError, match=r"bias.*weight"):
        load_into(torch.nn.Linear(3, 2), tmp_path / "model.pth")


def test_pulling_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(InputError, match="clip-vit-bigg"):
        pull_model("clip-vit-huge", tmp_path, SilentProgress())
