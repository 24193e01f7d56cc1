import json

import numpy as np
import pytest

from clustering_pipeline.models import MODEL_CARDS


@pytest.fixture
def held(home):
    """A models folder with one whole model."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    folder = home / "models" / "openai--clip-vit-base-patch32"
    folder.mkdir(parents=True)
    save_file({"weight": np.ones(3, np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "clip"}')
    preprocessing = {"size": 224, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def test_list_shows_every_known_model_with_its_licence(call, held):
    answer = call("models", "list", "--json")
    rows = {row["name"]: row for row in answer.json["models"]}
    assert set(rows) == set(MODEL_CARDS)
    assert rows["yolo-world"]["licence"] == "AGPL-3.0"
    assert rows["clip-vit-b-32"]["place"] == str(held)
    assert rows["clip-vit-bigg"]["place"] is None


def test_check_hashes_what_is_there(call, held):
    answer = call("models", "check", "--json")
    (row,) = answer.json["models"]
    assert answer.code == 0
    assert len(row["sha256"]) == 64


def test_check_finds_damage(call, held):
    (held / "model.safetensors").write_bytes(b"cut off")
    answer = call("models", "check")
    assert answer.code == 3
    assert "clip-vit-b-32" in answer.error


def test_check_finds_a_model_without_preprocessing(call, held):
    (held / "preprocessor_config.json").unlink()
    answer = call("models", "check")
    assert answer.code == 3
    assert "preprocessor_config.json" in answer.output


def test_check_finds_a_pickled_file_that_was_cut_off(call, home):
    torch = pytest.importorskip("torch")
    weights = home / "models" / "yolo-world" / "yolov8s-worldv2.pt"
    weights.parent.mkdir(parents=True)
    torch.save({"weight": torch.ones(1000)}, weights)
    assert call("models", "check").code == 0
    weights.write_bytes(weights.read_bytes()[:-500])
    answer = call("models", "check")
    assert (answer.code, "yolo-world" in answer.error) == (3, True)


def test_an_unknown_name_is_a_usage_error(call):
    answer = call("models", "pull", "no-such-model")
    assert answer.code == 2
    assert "clip-vit-bigg" in answer.error
