"""The repositories of the model cards as they are published: their true lists of files, with tiny
tensors under the true names and the configurations in their true, sometimes old, spelling.
"""

import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.random_detectors import save_clip_tokenizer
from clustering_pipeline.models import MODEL_CARDS
from clustering_pipeline_tests.models.hub import COMMIT, Repository
from clustering_pipeline_tests.stages.detection.test_neural import (
    tiny_grounding_dino,
    tiny_owlv2,
    tiny_yolo_world,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIDE = 32
LAYERS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
SHAPE = {**LAYERS, "image_size": SIDE, "patch_size": 8}
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
# As the first release of transformers wrote them: sizes are plain numbers.
CLIP_PREPROCESSING = {
    "crop_size": SIDE,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
    "resample": 3,
    "size": SIDE,
}
TOKENIZER = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
# What every repository holds beside the model, and the twins of other frameworks.
ALWAYS = (".gitattributes", "README.md")
TWINS = ("flax_model.msgpack", "pytorch_model.bin", "tf_model.h5")
CLIP_TEXT = (
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)

Files = dict[str, bytes]
Tensor = Any


def saved(model: Any) -> tuple[Files, dict[str, Tensor]]:
    """The configuration as the library writes it, and the tensors under their published names."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(f"{folder}/model.safetensors")
        return {"config.json": Path(folder, "config.json").read_bytes()}, tensors


def as_safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    whole = {name: value.contiguous().clone() for name, value in tensors.items()}
    return save(whole, metadata={"format": "pt"})


def as_pickle(tensors: Mapping[str, Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    return buffer.getvalue()


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def byte_pair_tokenizer() -> tuple[Files, int]:
    """The files of CLIP's tokenizer that knows single letters only, and its vocabulary's size."""
    with tempfile.TemporaryDirectory() as folder:
        size = save_clip_tokenizer(Path(folder))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    files["tokenizer_config.json"] = as_json(TOKENIZER)
    files.setdefault("special_tokens_map.json", as_json({}))
    return files, size


def clip_model(size: int) -> Any:
    text = {**LAYERS, "vocab_size": size, "bos_token_id": 0, "eos_token_id": 1}
    configuration = transformers.CLIPConfig(
        text_config=text, vision_config=SHAPE, projection_dim=512
    )
    torch.manual_seed(0)
    return transformers.CLIPModel(configuration)


def clip(*, safetensors: bool) -> Files:
    """OpenAI's repositories: B/32 has no safetensors on its main branch."""
    tokenizer, size = byte_pair_tokenizer()
    files, tensors = saved(clip_model(size))
    # Buffers that older versions of the library kept.
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    files |= {name: tokenizer[name] for name in CLIP_TEXT}
    files |= {"preprocessor_config.json": as_json(CLIP_PREPROCESSING)}
    files |= dict.fromkeys((*ALWAYS, *TWINS), b"another framework")
    files["pytorch_model.bin"] = as_pickle(tensors)
    return files | ({"model.safetensors": as_safetensors(tensors)} if safetensors else {})


def open_clip_tensors(width: int, patch: int, size: int) -> dict[str, Tensor]:
    """Both towers of OpenCLIP's own model, under its names."""
    random = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random) * 0.1

    def block(name: str) -> dict[str, Tensor]:
        linear = {"attn.out_proj": (width, width), "mlp.c_fc": (2 * width, width)}
        linear["mlp.c_proj"] = (width, 2 * width)
        tensors = {f"{name}.attn.in_proj_weight": tensor(3 * width, width)}
        tensors[f"{name}.attn.in_proj_bias"] = tensor(3 * width)
        for part, shape in linear.items():
            tensors |= {f"{name}.{part}.weight": tensor(*shape)}
            tensors |= {f"{name}.{part}.bias": tensor(shape[0])}
        for part in ("ln_1", "ln_2"):
            tensors |= {f"{name}.{part}.weight": 1 + tensor(width)}
            tensors |= {f"{name}.{part}.bias": tensor(width)}
        return tensors

    places = (SIDE // patch) ** 2 + 1
    state = {
        "positional_embedding": tensor(77, width),
        "text_projection": tensor(width, 12),
        "logit_scale": torch.tensor(1.0),
        "visual.class_embedding": tensor(width),
        "visual.positional_embedding": tensor(places, width),
        "visual.proj": tensor(width, 12),
        "visual.conv1.weight": tensor(width, 3, patch, patch),
        "token_embedding.weight": tensor(size, width),
    }
    for name in ("visual.ln_pre", "visual.ln_post", "ln_final"):
        state |= {f"{name}.weight": 1 + tensor(width), f"{name}.bias": tensor(width)}
    for number in range(2):
        state |= block(f"visual.transformer.resblocks.{number}")
        state |= block(f"transformer.resblocks.{number}")
    return state


def open_clip_configuration(width: int, patch: int, size: int, **changes: Any) -> dict[str, Any]:
    vision = {"image_size": SIDE, "layers": 2, "width": width, "head_width": 8, "mlp_ratio": 2.0}
    text = {"context_length": 77, "vocab_size": size, "width": width, "heads": 2, "layers": 2}
    return {
        "model_cfg": {
            "embed_dim": 12,
            "vision_cfg": {**vision, "patch_size": patch},
            "text_cfg": {**text, "mlp_ratio": 2.0},
            **changes,
        },
        "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
    }


def big_clip() -> Files:
    """LAION's ViT-bigG: the same weights five times, shards of safetensors without an index among
    them, and the configuration of OpenCLIP beside that of transformers.
    """
    tokenizer, size = byte_pair_tokenizer()
    files, tensors = saved(clip_model(size))
    open_clip = open_clip_tensors(16, 8, size)
    names = sorted(tensors)
    halves = [{name: tensors[name] for name in names[start::2]} for start in (0, 1)]
    index = {f"pytorch_model-0000{1 + number % 2}-of-00002.bin": None for number in (0, 1)}
    for number, half in enumerate(halves, 1):
        files[f"model-0000{number}-of-00002.safetensors"] = as_safetensors(half)
        files[f"pytorch_model-0000{number}-of-00002.bin"] = as_pickle(half)
    weight_map = {name: list(index)[place % 2] for place, name in enumerate(names)}
    files |= {name: tokenizer[name] for name in CLIP_TEXT}
    files |= dict.fromkeys(ALWAYS, b"")
    return files | {
        "preprocessor_config.json": as_json(CLIP_PREPROCESSING),
        "pytorch_model.bin.index.json": as_json({"weight_map": weight_map}),
        "open_clip_config.json": as_json(open_clip_configuration(16, 8, size)),
        "open_clip_model.safetensors": as_safetensors(open_clip),
        "open_clip_pytorch_model.bin": as_pickle(open_clip),
    }


def sentence_tokenizer(size: int) -> Files:
    """A tokenizer of whole words, as T5's and Gemma's are in the library's own format."""
    words = ["<pad>", "</s>", "<unk>", "a", "red", "box", "blue", "bottle"]
    vocabulary = {word: number for number, word in enumerate(words)}
    vocabulary |= {f"<extra_{number}>": number for number in range(len(words), size)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    configuration = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    return {
        "tokenizer.json": as_json(tokenizer),
        "tokenizer_config.json": as_json({**configuration, **special}),
        "special_tokens_map.json": as_json(special),
    }


def siglip(*extra: str) -> Files:
    text = {**LAYERS, "vocab_size": 32, "projection_size": 16, "max_position_embeddings": 64}
    torch.manual_seed(0)
    model = transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text, vision_config=SHAPE)
    )
    files, tensors = saved(model)
    preprocessing = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
        **HALVES,
    }
    files |= sentence_tokenizer(32)
    files |= dict.fromkeys((*ALWAYS, *extra), b"")
    return files | {
        "model.safetensors": as_safetensors(tensors),
        "preprocessor_config.json": as_json(preprocessing),
    }


def marqo(name: str) -> Files:
    """Marqo's repositories bring code of their own beside the layout of OpenCLIP."""
    import timm

    torch.manual_seed(0)
    tower = timm.create_model(
        name, pretrained=False, embed_dim=128, depth=2, num_heads=2, img_size=SIDE, num_classes=0
    )
    text = {
        f"text.{key}": value
        for key, value in open_clip_tensors(16, 8, 32).items()
        if key.startswith(("transformer", "token_embedding", "ln_final"))
    }
    torch.manual_seed(1)
    text |= {
        "text.positional_embedding": torch.randn(64, 16),
        "text.text_projection.weight": torch.randn(128, 16),
        "text.text_projection.bias": torch.randn(128),
    }
    state = {f"visual.trunk.{key}": value for key, value in tower.state_dict().items()} | text
    words = {
        "context_length": 64,
        "vocab_size": 32,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 16,
        "heads": 2,
        "layers": 2,
        "mlp_ratio": 2.0,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
    }
    vision = {"image_size": SIDE, "timm_model_name": name, "timm_pool": "map", "timm_proj": "none"}
    configuration = {
        "model_cfg": {"embed_dim": 128, "vision_cfg": vision, "text_cfg": words},
        "preprocess_cfg": {
            "mean": HALVES["image_mean"],
            "std": HALVES["image_std"],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    own = {"auto_map": {"AutoModel": "marqo_embeddings.Model"}, "model_type": "siglip"}
    files = dict.fromkeys(ALWAYS, b"") | sentence_tokenizer(32)
    return files | {
        "config.json": as_json(own),
        "marqo_embeddings.py": b"raise SystemExit('code of the repository ran')",
        "model.safetensors": as_safetensors({f"model.{key}": state[key] for key in state}),
        "open_clip_config.json": as_json(configuration),
        "open_clip_model.safetensors": as_safetensors(state),
        "open_clip_pytorch_model.bin": as_pickle(state),
        "preprocessor_config.json": as_json({"auto_map": {}}),
    }


def plain_tower(kind: str, preprocessing: Mapping[str, Any], *extra: str) -> Files:
    configuration, built = {
        "vit": (transformers.ViTConfig, transformers.ViTForImageClassification),
        "dinov2": (transformers.Dinov2Config, transformers.Dinov2Model),
        "dinov3": (transformers.DINOv3ViTConfig, transformers.DINOv3ViTModel),
    }[kind]
    torch.manual_seed(0)
    files, tensors = saved(built(configuration(**SHAPE)))
    return _tower(files, tensors, preprocessing, *extra)


def _tower(
    files: Files,
    tensors: Mapping[str, Tensor],
    preprocessing: Mapping[str, Any],
    *extra: str,
) -> Files:
    files |= dict.fromkeys((*ALWAYS, *extra), b"another framework")
    return files | {
        "model.safetensors": as_safetensors(tensors),
        "preprocessor_config.json": as_json(preprocessing),
    }


def vit() -> Files:
    return plain_tower(
        "vit",
        {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_processor_type": "ViTImageProcessor",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": SIDE, "width": SIDE},
            **HALVES,
        },
        *TWINS,
    )


def dinov2() -> Files:
    return plain_tower(
        "dinov2",
        {
            "crop_size": {"height": SIDE, "width": SIDE},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_processor_type": "BitImageProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": SIDE + 8},
            **IMAGENET,
        },
        "pytorch_model.bin",
    )


def dinov3() -> Files:
    return plain_tower(
        "dinov3",
        {
            "data_format": "channels_first",
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_processor_type": "DINOv3ViTImageProcessorFast",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": SIDE, "width": SIDE},
            **IMAGENET,
        },
        "LICENSE.md",
    )


def resnet() -> Files:
    torch.manual_seed(0)
    files, tensors = saved(
        transformers.ResNetForImageClassification(
            transformers.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="bottleneck"
            )
        )
    )
    preprocessing = {
        "crop_pct": 0.875,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "resample": 3,
        "size": SIDE,
        **IMAGENET,
    }
    return _tower(files, tensors, preprocessing, *TWINS)


def detector(make: Callable[[Path], Path], *extra: str) -> Files:
    """A folder that a builder saved, with the twin that the repository keeps beside it."""
    with tempfile.TemporaryDirectory() as folder:
        place = make(Path(folder) / "model")
        files = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    return files | dict.fromkeys((*ALWAYS, *extra), b"another framework")


def grounding_dino() -> Files:
    files = detector(tiny_grounding_dino, "pytorch_model.bin")
    return _old_processor(files, "GroundingDinoProcessor")


def owlv2() -> Files:
    files = detector(tiny_owlv2, "pytorch_model.bin")
    return _old_processor(files, "Owlv2Processor")


def _old_processor(files: Files, name: str) -> Files:
    """Keep the image processor's settings in the file where the published repositories have
    them.
    """
    if "processor_config.json" in files:
        whole = json.loads(files.pop("processor_config.json"))
        images = {**whole.get("image_processor", {}), "processor_class": name}
        files["preprocessor_config.json"] = as_json(images)
    return files


def sam() -> Files:
    from clustering_pipeline_tests.stages.detection.test_masks import tiny_sam

    files = detector(tiny_sam, "pytorch_model.bin", "tf_model.h5")
    return _old_processor(files, "SamProcessor")


def yolo_world() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return tiny_yolo_world(Path(folder) / "model").read_bytes()


def vgg16() -> bytes:
    """Tensors of the full shapes that share one number each, which the format keeps small."""
    from torchvision.models import vgg16 as network

    with torch.device("meta"):
        shapes = network(weights=None).state_dict()
    return as_pickle(
        {
            name: torch.full((1,) * value.ndim, 0.01).expand(value.shape)
            for name, value in shapes.items()
        }
    )


REPOSITORIES: dict[str, Callable[[], Files]] = {
    "clip-vit-bigg": big_clip,
    "clip-vit-l-14": lambda: clip(safetensors=True),
    "clip-vit-b-32": lambda: clip(safetensors=False),
    "siglip-base": lambda: siglip("spiece.model"),
    "siglip2-base": lambda: siglip("tokenizer.model"),
    "marqo-ecommerce-b": lambda: marqo("vit_base_patch16_siglip_224"),
    "marqo-ecommerce-l": lambda: marqo("vit_large_patch16_siglip_256"),
    "vit-base": vit,
    "dinov2-base": dinov2,
    "dinov3-base": dinov3,
    "resnet50": resnet,
    "grounding-dino": grounding_dino,
    "owlv2": owlv2,
    "sam": sam,
}
SINGLE_FILES: dict[str, Callable[[], bytes]] = {"vgg16": vgg16, "yolo-world": yolo_world}


def published(name: str) -> Repository:
    """The repository of a card, at the commit that the card names."""
    card = MODEL_CARDS[name]
    return Repository(REPOSITORIES[name](), card.revision or COMMIT, gated="gated" in card.licence)
