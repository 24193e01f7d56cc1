"""The models that the pipeline knows by a short name: where they come from, how large they are,
under which licence.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelCard:
    """One downloadable model.

    `source` is a repository of the Hugging Face hub, or an https address of a single file.
    `megabytes` is the size of what `pull` fetches. `sha256_prefix` is set where the publisher names
    the file after its digest, `files` where only some of a repository's files are wanted.
    """

    name: str
    source: str
    kind: Literal["encoder", "detector", "segmenter", "text"]
    megabytes: int
    licence: str
    sha256_prefix: str = ""
    files: tuple[str, ...] = ()

    @property
    def is_single_file(self) -> bool:
        """Whether the source is one file rather than a repository."""
        return self.source.startswith("https://")

    @property
    def folder_name(self) -> str:
        """Name of the model's folder below the models folder."""
        return self.name if self.is_single_file else self.source.replace("/", "--")


# What a repository in the layout of OpenCLIP holds besides code of its own.
_OPEN_CLIP = ("open_clip_config.json", "open_clip_model.safetensors")

_CARDS = (
    ModelCard(
        "clip-vit-bigg", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", "encoder", 10_160, "MIT"
    ),
    ModelCard("clip-vit-l-14", "openai/clip-vit-large-patch14", "encoder", 1_710, "MIT"),
    ModelCard("clip-vit-b-32", "openai/clip-vit-base-patch32", "encoder", 605, "MIT"),
    ModelCard("siglip-base", "google/siglip-base-patch16-224", "encoder", 813, "Apache-2.0"),
    ModelCard("siglip2-base", "google/siglip2-base-patch16-224", "encoder", 1_500, "Apache-2.0"),
    ModelCard(
        "marqo-ecommerce-b",
        "Marqo/marqo-ecommerce-embeddings-B",
        "encoder",
        813,
        "Apache-2.0",
        files=_OPEN_CLIP,
    ),
    ModelCard(
        "marqo-ecommerce-l",
        "Marqo/marqo-ecommerce-embeddings-L",
        "encoder",
        2_610,
        "Apache-2.0",
        files=_OPEN_CLIP,
    ),
    ModelCard("vit-base", "google/vit-base-patch16-224", "encoder", 346, "Apache-2.0"),
    ModelCard("dinov2-base", "facebook/dinov2-base", "encoder", 346, "Apache-2.0"),
    ModelCard(
        "dinov3-base",
        "facebook/dinov3-vitb16-pretrain-lvd1689m",
        "encoder",
        343,
        "DINOv3 License (gated)",
    ),
    ModelCard("resnet50", "microsoft/resnet-50", "encoder", 102, "Apache-2.0"),
    ModelCard(
        "vgg16",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "encoder",
        528,
        "BSD-3-Clause (torchvision)",
        "397923af",
    ),
    ModelCard(
        "yolo-world",
        "https://github.com/ultralytics/assets/releases/download/v8.3.0/yolov8s-worldv2.pt",
        "detector",
        26,
        "AGPL-3.0",
    ),
    ModelCard("grounding-dino", "IDEA-Research/grounding-dino-tiny", "detector", 690, "Apache-2.0"),
    ModelCard("owlv2", "google/owlv2-base-patch16-ensemble", "detector", 620, "Apache-2.0"),
    ModelCard("sam", "facebook/sam-vit-base", "segmenter", 375, "Apache-2.0"),
)

MODEL_CARDS: dict[str, ModelCard] = {card.name: card for card in _CARDS}


def find_card(model: str) -> ModelCard | None:
    """Return the card whose name or source is `model`, or None for a model that the pipeline does
    not know.
    """
    return next((card for card in _CARDS if model in (card.name, card.source)), None)
