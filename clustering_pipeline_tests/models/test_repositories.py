"""Pulling repositories from a hub that is gated, breaks off, sends something else, or holds
weights in several layouts.
"""

import pytest

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import SilentProgress
from clustering_pipeline.models import MODEL_CARDS, files_to_pull, locate_model, pull_model
from clustering_pipeline_tests.models.hub import TOKEN, Repository

pytest.importorskip("huggingface_hub")
torch = pytest.importorskip("torch")

SOURCE = MODEL_CARDS["clip-vit-l-14"].source


def small_clip(**changes):
    """As much of a CLIP repository as a pull looks into."""
    from safetensors.torch import save

    files = {
        "README.md": b"# CLIP",
        "config.json": b'{"model_type": "clip"}',
        "preprocessor_config.json": b'{"size": 32, "image_mean": [0.5, 0.5, 0.5], '
        b'"image_std": [0.5, 0.5, 0.5]}',
        "model.safetensors": save({"weight": torch.arange(5000.0)}),
        "tf_model.h5": b"another framework",
    }
    return Repository({**files, **changes.pop("files", {})}, MODEL_CARDS["clip-vit-l-14"].revision)


def pull(folder, name="clip-vit-l-14"):
    return pull_model(name, folder, SilentProgress())


def test_what_is_pulled_is_found_by_name(hub, tmp_path):
    hub.repositories[SOURCE] = small_clip()
    place = pull(tmp_path / "models")
    hardware = Hardware(models_folder=tmp_path / "models")
    assert locate_model("clip-vit-l-14", hardware, "embeddings.model") == place
    assert locate_model(SOURCE, hardware, "embeddings.model") == place
    assert not (place / "tf_model.h5").exists()


def test_a_transfer_that_breaks_off_is_taken_up_again(hub, tmp_path):
    hub.repositories[SOURCE] = small_clip()
    hub.breaks = 1
    assert (pull(tmp_path) / "model.safetensors").is_file()
    assert hub.breaks == 0


def test_what_is_held_is_not_fetched_again(hub, tmp_path):
    hub.repositories[SOURCE] = small_clip()
    pull(tmp_path)
    hub.asked.clear()
    pull(tmp_path)
    assert not hub.fetched()


def test_a_changed_byte_is_not_the_published_file(hub, tmp_path):
    hub.repositories[SOURCE] = small_clip()
    hub.corrupt = True
    with pytest.raises(StageError, match="not the published file"):
        pull(tmp_path)
    hub.corrupt = False
    assert pull(tmp_path)


def test_the_cache_of_the_hub_is_used_as_it_is(hub, tmp_path):
    from huggingface_hub import snapshot_download

    hub.repositories[SOURCE] = small_clip()
    cached = snapshot_download(SOURCE, revision=MODEL_CARDS["clip-vit-l-14"].revision)
    hub.asked.clear()
    assert str(pull(tmp_path / "models")) == cached
    assert not hub.fetched()
    assert not (tmp_path / "models" / "openai--clip-vit-large-patch14").exists()


def test_a_gated_repository_says_what_to_do(hub, tmp_path, monkeypatch):
    repository = small_clip()
    repository.gated = True
    hub.repositories[SOURCE] = repository
    with pytest.raises(StageError, match=rf"gated.*huggingface\.co/{SOURCE}.*HF_TOKEN"):
        pull(tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert (pull(tmp_path) / "model.safetensors").is_file()


def test_a_repository_that_is_not_there_is_named(hub, tmp_path):
    with pytest.raises(StageError, match=r"no repository nobody/nothing.*hf auth login"):
        pull(tmp_path, "nobody/nothing")


def test_a_pull_ends_by_opening_what_a_run_would_open(hub, tmp_path):
    hub.repositories[SOURCE] = small_clip(files={"preprocessor_config.json": b"{"})
    with pytest.raises(StageError, match=r"could not use it.*preprocessor_config\.json"):
        pull(tmp_path)


def test_any_repository_can_be_pulled_by_its_own_name(hub, tmp_path):
    repository = small_clip()
    repository.commit = "f" * 40
    hub.repositories["somebody/clip"] = repository
    assert (pull(tmp_path, "somebody/clip") / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "tf_model.h5"], ["pytorch_model.bin"]),
        (["open_clip_pytorch_model.bin", "a.py"], ["open_clip_pytorch_model.bin"]),
        (["onnx/model.onnx", "model.safetensors"], ["model.safetensors"]),
        (
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "pytorch_model.bin.index.json",
            ],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (
            [
                "pytorch_model-00001-of-00001.bin",
                "pytorch_model.bin.index.json",
                "model.safetensors.index.json",
            ],
            ["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"],
        ),
    ],
)
def test_one_layout_of_the_weights_is_chosen(names, chosen):
    assert files_to_pull([*names, "config.json", ".gitattributes"]) == sorted(
        [*chosen, "config.json"]
    )


def test_a_set_of_shards_with_a_hole_is_refused():
    with pytest.raises(ValueError, match="some files are missing"):
        files_to_pull(["model-00001-of-00002.safetensors"])


def test_a_repository_without_weights_is_refused(hub, tmp_path):
    hub.repositories["somebody/text"] = Repository({"README.md": b"words"})
    with pytest.raises(StageError, match="no safetensors"):
        pull(tmp_path, "somebody/text")
