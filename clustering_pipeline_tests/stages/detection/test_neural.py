"""Every neural detector on a tiny model that is built from its configuration and saved in the real
format.
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.random_detectors import save_clip_tokenizer
from benchmarks.random_detectors import save_text_clip as tiny_clip
from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.imaging import ImageError, decode_image
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.detection import DETECTORS, Detections, make_detector
from clustering_pipeline.stages.detection.neural import NeuralDetector
from clustering_pipeline.stages.prompts import Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPTS = (Prompt("hộp", "box", ("carton",), "glossary"), Prompt("chai", "bottle", (), "glossary"))
WORDS = {"box": "hộp", "carton": "hộp", "bottle": "chai"}
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    "a",
    "photo",
    "of",
    "box",
    "carton",
    "bottle",
]


@pytest.fixture
def pictures():
    random = np.random.default_rng(3)
    return [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 90, 3), (80, 50, 3))]


def tiny_yolo_world(folder):
    open_image = Image.open
    pytest.importorskip("ultralytics")
    from ultralytics.nn.tasks import WorldModel

    Image.open = open_image

    folder.mkdir()
    torch.manual_seed(0)
    torch.save(
        {"model": WorldModel("yolov8n-worldv2.yaml", verbose=False), "train_args": {}},
        folder / "tiny.pt",
    )
    return folder / "tiny.pt"


def tiny_grounding_dino(folder):
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    tokenizer = transformers.BertTokenizer(vocab=str(folder / "vocab.txt"))
    processor = transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessorPil(size={"height": 128, "width": 128}), tokenizer
    )
    processor.save_pretrained(folder)
    backbone = transformers.SwinConfig(
        image_size=128,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_indices=[2, 3, 4],
    )
    text = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    layers = {
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    }
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    configuration = transformers.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        num_queries=10,
        **heads,
        **layers,
    )
    torch.manual_seed(0)
    transformers.GroundingDinoForObjectDetection(configuration).save_pretrained(folder)
    return folder


def tiny_owlv2(folder):
    folder.mkdir()
    size = save_clip_tokenizer(folder)
    layers = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), tokenizer
    )
    processor.save_pretrained(folder)
    text = {
        **layers,
        "vocab_size": size,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "max_position_embeddings": 16,
    }
    vision = {**layers, "image_size": 64, "patch_size": 16}
    torch.manual_seed(0)
    model = transformers.Owlv2ForObjectDetection(
        transformers.Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    )
    model.save_pretrained(folder)
    return folder


def tiny_faster_rcnn(folder):
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    folder.mkdir()
    with torch.device("meta"):
        shapes = fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=3
        ).state_dict()
    torch.manual_seed(0)
    torch.save(
        {name: torch.rand(value.shape) * 0.01 for name, value in shapes.items()},
        folder / "model.pth",
    )
    (folder / "labels.json").write_text('["top", "bottom"]')
    return folder


BUILDERS = {
    "yolo-world": tiny_yolo_world,
    "grounding-dino": tiny_grounding_dino,
    "owlv2": tiny_owlv2,
    "faster-rcnn": tiny_faster_rcnn,
}


def tiny_detector(name, tmp_path, **changes):
    place = BUILDERS[name](tmp_path / "model")
    text = {"text_model": str(tiny_clip(tmp_path / "clip"))} if name == "yolo-world" else {}
    return make_detector(
        CropSettings(
            detector=name, model=str(place), minimum_score=0.0, image_size=64, **text, **changes
        )
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_detects_with_the_real_format(name, tmp_path, context, pictures):
    detector = tiny_detector(name, tmp_path)
    detector.load(context)
    found = detector.detect(pictures, PROMPTS)
    assert len(found) == len(pictures)
    for detections, pixels in zip(found, pictures, strict=True):
        assert np.isfinite(detections.boxes).all()
        height, width = pixels.shape[:2]
        assert (np.abs(detections.boxes) <= 3 * max(height, width)).all()
        if detector.uses_prompts:
            assert {
                (word, label)
                for word, label in zip(detections.words, detections.labels, strict=True)
            } <= {(word, label) for label, word in WORDS.items()}
    alone = detector.detect(pictures[1:], PROMPTS)[0]
    np.testing.assert_array_equal(alone.boxes, found[1].boxes)


def test_yolo_world_finds_something_and_answers_new_prompts(tmp_path, context, pictures):
    detector = tiny_detector("yolo-world", tmp_path)
    detector.load(context)
    assert sum(map(len, detector.detect(pictures, PROMPTS)))
    (only_bottles, _) = detector.detect(pictures, PROMPTS[1:])
    assert set(only_bottles.labels) <= {"bottle"}


def test_yolo_world_leaves_the_decoder_of_pictures_alone(tmp_path, context):
    before = Image.open
    tiny_detector("yolo-world", tmp_path).load(context)
    assert Image.open is before
    with pytest.raises(ImageError):
        decode_image(b"no picture")


def test_yolo_world_neither_installs_nor_fetches(tmp_path, context):
    tiny_detector("yolo-world", tmp_path).load(context)
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    assert os.environ["YOLO_OFFLINE"] == "true"


@pytest.mark.parametrize("name", BUILDERS)
def test_damaged_weights_fail_with_a_sentence(name, tmp_path, context):
    place = BUILDERS[name](tmp_path / "model")
    weights = (
        place
        if place.is_file()
        else next(path for path in place.iterdir() if path.suffix in (".safetensors", ".pth"))
    )
    weights.write_bytes(b"not a model")
    text = {"text_model": str(tiny_clip(tmp_path / "clip"))} if name == "yolo-world" else {}
    with pytest.raises(StageError, match=r"(could not load|cannot be loaded)"):
        make_detector(CropSettings(detector=name, model=str(place), **text)).load(context)


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


@pytest.mark.parametrize("name", ["yolo-world", "faster-rcnn"])
def test_a_checkpoint_that_would_run_code_is_not_opened(name, tmp_path, context, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = BUILDERS[name](tmp_path / "model")
    weights = place if place.is_file() else place / "model.pth"
    torch.save({"model": Harmful()}, weights)
    text = {"text_model": str(tiny_clip(tmp_path / "clip"))} if name == "yolo-world" else {}
    with pytest.raises(StageError, match=r"could not load|cannot be loaded"):
        make_detector(CropSettings(detector=name, model=str(place), **text)).load(context)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in ("contour", "given")])
def test_missing_weights_name_the_setting(name, context):
    with pytest.raises(StageError, match=r"crops\.model"):
        make_detector(CropSettings(detector=name)).load(context)


def test_faster_rcnn_needs_a_label_map(tmp_path, context):
    place = tiny_faster_rcnn(tmp_path / "model")
    (place / "labels.json").write_text("{}")
    with pytest.raises(StageError, match=r"labels\.json"):
        make_detector(CropSettings(detector="faster-rcnn", model=str(place))).load(context)


def test_a_detector_without_prompts_says_so(tmp_path, context, pictures):
    detector = tiny_detector("owlv2", tmp_path)
    detector.load(context)
    with pytest.raises(StageError, match=r"prompts\.words"):
        detector.detect(pictures, ())


@pytest.mark.parametrize("name", BUILDERS)
def test_a_batch_of_one_shape_finds_what_each_picture_finds_alone(name, tmp_path, context):
    random = np.random.default_rng(5)
    shapes = [(60, 90, 3), (80, 50, 3), (60, 90, 3), (60, 90, 3)]
    images = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    detector = tiny_detector(name, tmp_path)
    detector.load(context)
    alone = detector.detect(images, PROMPTS)
    detector.rows = 2
    for one, together in zip(alone, detector.detect(images, PROMPTS), strict=True):
        np.testing.assert_allclose(np.sort(one.scores), np.sort(together.scores), atol=1e-4)


class NarrowDetector(NeuralDetector):
    """Has room for two pictures, and finds one box each, whose score is the picture's grey."""

    name, default_model, default_score, uses_prompts = "narrow", "narrow", 0.0, False
    room = 2

    def open(self, place, device, context):
        """Nothing to load."""

    def detect_batch(self, pictures, texts):
        assert len({pixels.shape for pixels in pictures}) == 1
        if len(pictures) > self.room:
            raise torch.OutOfMemoryError("no memory")
        return [
            Detections(np.ones((1, 4), np.float32), pixels[0, 0, :1] / 255, (None,), (None,))
            for pixels in pictures
        ]


def test_a_full_memory_halves_the_batch_and_keeps_the_order():
    detector = NarrowDetector(CropSettings())
    detector.rows = 8
    images = [np.full((4 + n % 2, 4, 3), n, np.uint8) for n in range(11)]
    scores = [found.scores[0] * 255 for found in detector.detect(images, ())]
    np.testing.assert_allclose(scores, range(11), atol=1e-3)
    assert detector.rows == 2


def test_a_picture_that_does_not_fit_beside_the_detector_names_the_remedy():
    detector = NarrowDetector(CropSettings())
    detector.room = 0
    with pytest.raises(StageError, match=r"narrow.*compute\.precision"):
        detector.detect([np.zeros((4, 4, 3), np.uint8)], ())


def test_a_detector_that_fills_the_memory_while_loading_names_the_remedy(tmp_path, context):
    class Heavy(NarrowDetector):
        def place(self, context):
            return tmp_path

        def open(self, place, device, context):
            raise torch.OutOfMemoryError("no memory")

    with pytest.raises(StageError, match=r"crops\.model does not fit.*compute\.precision"):
        Heavy(CropSettings()).load(context)


def test_only_short_formats_change_the_identity(tmp_path, context):
    detector = tiny_detector("faster-rcnn", tmp_path)
    exact = detector.identity(context)
    short = detector.identity(replace(context, hardware=Hardware("cpu", "bf16")))
    assert short == f"{exact} bf16"
