"""Model files: what they are called, where they are, how they are loaded safely, and how pixels
become their input.
"""

from clustering_pipeline.models.cards import MODEL_CARDS, ModelCard, find_card
from clustering_pipeline.models.checkpoints import fill, load_into, load_state_dict, loading_problem
from clustering_pipeline.models.downloads import pull_model
from clustering_pipeline.models.efficientnet_graph import (
    GRAPH_INPUT,
    GRAPH_VERSION,
    VECTOR_LENGTH,
    classifier_directions,
    efficientnet_lite_graph,
)
from clustering_pipeline.models.files import (
    file_digest,
    locate_model,
    model_digest,
    read_model_type,
    remembered,
    weight_files,
)
from clustering_pipeline.models.inference import (
    FULL_MEMORY,
    BatchRunner,
    Forward,
    ParallelRunner,
    Pending,
    Rows,
    free_memory,
    in_precision,
    is_out_of_memory,
    load_on,
    memory_rows,
    processor_kernels,
    processor_rows,
    quiet_transformers,
    torch_type,
    within_memory,
)
from clustering_pipeline.models.inventory import Check, HeldModel, check_models, held_models
from clustering_pipeline.models.onnx_files import onnx_digest
from clustering_pipeline.models.open_clip import (
    build_open_clip_tower,
    holds_siglip,
    is_open_clip,
    read_open_clip_preprocessing,
)
from clustering_pipeline.models.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImagePreprocessing,
    preprocessing_from_configuration,
    read_preprocessing,
)
from clustering_pipeline.models.pretrained import load_pretrained
from clustering_pipeline.models.repository import files_to_pull
from clustering_pipeline.models.restricted_checkpoint import read_tensors
from clustering_pipeline.models.text_tower import TextTower

__all__ = [
    "FULL_MEMORY",
    "GRAPH_INPUT",
    "GRAPH_VERSION",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MODEL_CARDS",
    "VECTOR_LENGTH",
    "BatchRunner",
    "Check",
    "Forward",
    "HeldModel",
    "ImagePreprocessing",
    "ModelCard",
    "ParallelRunner",
    "Pending",
    "Rows",
    "TextTower",
    "build_open_clip_tower",
    "check_models",
    "classifier_directions",
    "efficientnet_lite_graph",
    "file_digest",
    "files_to_pull",
    "fill",
    "find_card",
    "free_memory",
    "held_models",
    "holds_siglip",
    "in_precision",
    "is_open_clip",
    "is_out_of_memory",
    "load_into",
    "load_on",
    "load_pretrained",
    "load_state_dict",
    "loading_problem",
    "locate_model",
    "memory_rows",
    "model_digest",
    "onnx_digest",
    "preprocessing_from_configuration",
    "processor_kernels",
    "processor_rows",
    "pull_model",
    "quiet_transformers",
    "read_model_type",
    "read_open_clip_preprocessing",
    "read_preprocessing",
    "read_tensors",
    "remembered",
    "torch_type",
    "weight_files",
    "within_memory",
]
