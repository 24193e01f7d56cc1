"""Detectors of published shapes with random weights and a tokenizer of single letters: they show
speed, not quality.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
TINY_LAYERS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def save_clip_tokenizer(folder: Path) -> int:
    """Save a byte-pair tokenizer that knows single letters only, and return its size."""
    import transformers

    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{one}</w>" for one in LETTERS)]
    (folder / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(tokens)})
    )
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
    )
    tokenizer.save_pretrained(folder)
    return len(tokens)


def save_text_clip(folder: Path) -> Path:
    """Save a tiny CLIP whose text tower gives 512 values, as YOLO-World reads words with."""
    import transformers

    folder.mkdir()
    text = {
        **TINY_LAYERS,
        "vocab_size": save_clip_tokenizer(folder),
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {**TINY_LAYERS, "image_size": 32, "patch_size": 16}
    configuration = transformers.CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=512
    )
    transformers.CLIPModel(configuration).save_pretrained(folder)
    return folder


def save_faster_rcnn(folder: Path, _quick: bool) -> Path:
    """ResNet-50 with a feature pyramid, as torchvision starts one."""
    import torch
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    network = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    torch.save(network.state_dict(), folder / "model.pth")
    (folder / "labels.json").write_text('["top", "bottom"]')
    return folder


def save_yolo_world(folder: Path, quick: bool) -> Path:
    """YOLO-World v2, large (the nano one when `quick`)."""
    import torch

    open_image = Image.open
    from ultralytics.nn.tasks import WorldModel

    Image.open = open_image
    model = WorldModel(f"yolov8{'n' if quick else 'l'}-worldv2.yaml", verbose=False)
    torch.save({"model": model, "train_args": {}}, folder / "model.pt")
    return folder / "model.pt"


def save_owlv2(folder: Path, quick: bool) -> Path:
    """OWLv2, base with patches of 16 (tiny when `quick`)."""
    import transformers

    side = 64 if quick else 960
    text: dict[str, Any] = TINY_LAYERS if quick else {}
    vision = {**text, "image_size": side, "patch_size": 16}
    text = {
        **text,
        "vocab_size": save_clip_tokenizer(folder),
        "bos_token_id": 0,
        "eos_token_id": 1,
        "max_position_embeddings": 16,
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessorPil(size={"height": side, "width": side}), tokenizer
    )
    processor.save_pretrained(folder)
    sizes: dict[str, Any] = {"projection_dim": 16} if quick else {}
    configuration = transformers.Owlv2Config(text_config=text, vision_config=vision, **sizes)
    transformers.Owlv2ForObjectDetection(configuration).save_pretrained(folder)
    return folder


def save_grounding_dino(folder: Path, quick: bool) -> Path:
    """Grounding DINO with Swin-T and BERT base (both tiny when `quick`)."""
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "box", "bottle"]
    (folder / "vocab.txt").write_text("\n".join(words))
    size = {"height": 128, "width": 128} if quick else {"shortest_edge": 800, "longest_edge": 1333}
    processor = transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessorPil(size=size),
        transformers.BertTokenizer(vocab=str(folder / "vocab.txt")),
    )
    processor.save_pretrained(folder)
    backbone: dict[str, Any] = {"window_size": 7, "out_indices": [2, 3, 4]}
    text: dict[str, Any] = {}
    if quick:
        backbone = {
            **backbone,
            "window_size": 2,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 1, 1],
        }
        text = TINY_LAYERS
    configuration = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(image_size=128 if quick else 224, **backbone),
        text_config=transformers.BertConfig(vocab_size=len(words), **text),
        num_queries=10 if quick else 900,
    )
    transformers.GroundingDinoForObjectDetection(configuration).save_pretrained(folder)
    return folder


DETECTORS: dict[str, Callable[[Path, bool], Path]] = {
    "faster-rcnn": save_faster_rcnn,
    "yolo-world": save_yolo_world,
    "owlv2": save_owlv2,
    "grounding-dino": save_grounding_dino,
}
