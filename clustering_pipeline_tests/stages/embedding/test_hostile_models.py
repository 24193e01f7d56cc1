"""Model folders that are damaged or lie: each is refused in words, quickly and without running what
it brings.
"""

import json
import os
import pickle

import numpy as np
import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline_tests.stages.embedding.test_neural import tiny_transformer

pytest.importorskip("torch")
pytest.importorskip("transformers")


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def vision(folder, **changes):
    path = folder / "config.json"
    configuration = json.loads(path.read_text())
    configuration["vision_config"].update(changes)
    path.write_text(json.dumps(configuration))


def pickled(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Harmful()}))


def preprocessor(folder, **changes):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


HARMS = {
    "cut off": (lambda folder: os.truncate(folder / "model.safetensors", 1000), "models check"),
    "pickled code": (pickled, "could run code"),
    "a lie about the shape": (lambda folder: vision(folder, hidden_size=32), "other shapes"),
    "a shape beyond all memory": (
        lambda folder: vision(folder, hidden_size=400_000),
        "other shapes",
    ),
    "two million layers": (
        lambda folder: vision(folder, num_hidden_layers=2_000_000),
        "2,000,000 layers",
    ),
    "no JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        "does not say what model it is",
    ),
    "no preprocessing": (
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        r"preprocessor_config\.json",
    ),
    "a size in words": (lambda folder: preprocessor(folder, size="large"), "not known here"),
    "an input beyond all memory": (
        lambda folder: preprocessor(folder, size={"shortest_edge": 10**6}),
        "not known here",
    ),
    "a deviation of zero": (
        lambda folder: preprocessor(folder, image_std=[0, 0, 0]),
        "not known here",
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("harm", "sentence"), HARMS.values(), ids=list(HARMS))
def test_a_hostile_folder_is_refused_in_words(tmp_path, context, monkeypatch, harm, sentence):
    monkeypatch.chdir(tmp_path)
    tiny_transformer("clip", tmp_path / "model")
    harm(tmp_path / "model")
    encoder = open_encoder(EmbeddingSettings(encoder="clip", model=str(tmp_path / "model")))
    with pytest.raises(StageError, match=sentence) as caught:
        encoder.load(context)
        encoder.encode(encoder.preparation(context)([np.zeros((9, 9, 3), np.uint8)]))
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "harm").exists()
