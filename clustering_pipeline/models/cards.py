"""The models that the pipeline knows by a short name: where they come from, how large they are,
under which licence.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelCard:
    """One downloadable model.

    `source` is a repository of the Hugging Face hub, or the address of a single file. `megabytes`
    is the size of what `pull` fetches. `sha256_prefix` is set where the publisher names the file
    after its digest; the hub tells those of its own files. `files` are patterns of a repository's
    files where the general rule would choose others, `revision` the commit that the pipeline was
    made for, empty where none is known for certain.
    """

    name: str
    source: str
    kind: Literal["encoder", "detector", "segmenter", "model"]
    megabytes: int
    licence: str
    sha256_prefix: str = ""
    files: tuple[str, ...] = ()
    revision: str = ""

    @property
    def is_single_file(self) -> bool:
        """Whether the source is one file rather than a repository."""
        return "://" in self.source

    @property
    def folder_name(self) -> str:
        """Name of the model's folder below the models folder."""
        return self.name if self.is_single_file else self.source.replace("/", "--")


# What a model in the layout of OpenCLIP is made of: one file of weights, its configuration, and the
# tokenizer for searching with words. Its other weights and code of the repository stay there.
_OPEN_CLIP = (
    "open_clip_config.json",
    "open_clip_model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
)

_CARDS = (
    ModelCard(
        "clip-vit-bigg",
        "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "encoder",
        10_160,
        "MIT",
        files=_OPEN_CLIP,
    ),
    ModelCard(
        "clip-vit-l-14",
        "openai/clip-vit-large-patch14",
        "encoder",
        1_710,
        "MIT",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
    ),
    ModelCard(
        "clip-vit-b-32",
        "openai/clip-vit-base-patch32",
        "encoder",
        605,
        "MIT",
        revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    ),
    ModelCard(
        "siglip-base",
        "google/siglip-base-patch16-224",
        "encoder",
        813,
        "Apache-2.0",
        revision="7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
    ),
    ModelCard(
        "siglip2-base",
        "google/siglip2-base-patch16-224",
        "encoder",
        1_500,
        "Apache-2.0",
        revision="75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
    ),
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
    ModelCard(
        "vit-base",
        "google/vit-base-patch16-224",
        "encoder",
        346,
        "Apache-2.0",
        revision="3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3",
    ),
    ModelCard(
        "dinov2-base",
        "facebook/dinov2-base",
        "encoder",
        346,
        "Apache-2.0",
        revision="f9e44c814b77203eaa57a6bdbbd535f21ede1415",
    ),
    ModelCard(
        "dinov3-base",
        "facebook/dinov3-vitb16-pretrain-lvd1689m",
        "encoder",
        343,
        "DINOv3 License (gated)",
    ),
    ModelCard(
        "resnet50",
        "microsoft/resnet-50",
        "encoder",
        102,
        "Apache-2.0",
        revision="34c2154c194f829b11125337b98c8f5f9965ff19",
    ),
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
    ModelCard(
        "grounding-dino",
        "IDEA-Research/grounding-dino-tiny",
        "detector",
        690,
        "Apache-2.0",
        revision="a2bb814dd30d776dcf7e30523b00659f4f141c71",
    ),
    ModelCard(
        "owlv2",
        "google/owlv2-base-patch16-ensemble",
        "detector",
        620,
        "Apache-2.0",
        revision="cfd3195ba4ea9592eec887ded089f4c08eff231d",
    ),
    ModelCard(
        "sam",
        "facebook/sam-vit-base",
        "segmenter",
        375,
        "Apache-2.0",
        revision="70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
    ),
)

MODEL_CARDS: dict[str, ModelCard] = {card.name: card for card in _CARDS}


def find_card(model: str) -> ModelCard | None:
    """Return the card whose name or source is `model`, or None for a model that the pipeline does
    not know.
    """
    return next((card for card in MODEL_CARDS.values() if model in (card.name, card.source)), None)
