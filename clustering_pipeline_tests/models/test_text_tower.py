"""Words on every contrastive model that is pulled."""

import numpy as np
import pytest

from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.models import TextTower, locate_model, pull_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clustering_pipeline_tests.models import published  # noqa: E402

CARDS = [
    "clip-vit-bigg",
    "clip-vit-l-14",
    "clip-vit-b-32",
    "siglip-base",
    "siglip2-base",
    "marqo-ecommerce-b",
]


@pytest.mark.parametrize("name", CARDS)
def test_words_become_unit_vectors_that_differ(name, put, tmp_path):
    put(name, published.published(name))
    pull_model(name, tmp_path, SilentProgress())
    place = locate_model(name, Hardware(models_folder=tmp_path), "embeddings.model")
    vectors = TextTower(place, "cpu").encode(["a red box", "a blue bottle"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-6


def test_siglip_reads_words_as_the_library_does(put, tmp_path):
    put("siglip-base", published.published("siglip-base"))
    place = pull_model("siglip-base", tmp_path, SilentProgress())
    model = transformers.SiglipModel.from_pretrained(place).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    tokens = tokenizer(["a red box"], padding="max_length", max_length=64, return_tensors="pt")
    with torch.inference_mode():
        expected = model.text_model(tokens["input_ids"]).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    tower = TextTower(place, "cpu")
    np.testing.assert_allclose(tower.encode(["A red, box!"]), expected, atol=1e-5)
