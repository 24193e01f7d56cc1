"""The pipeline from Python: a catalogue in, a grouping out, and single steps on arrays.

It runs the stages themselves, without Dagster.
"""

from clustering_pipeline.api.arrays import (
    ImageHashes,
    PrintAgreement,
    communities,
    embed,
    hash_image,
    verify,
)
from clustering_pipeline.api.display import Evidence
from clustering_pipeline.api.grouping import Grouping
from clustering_pipeline.api.opening import OpenedProject, group, open_project

__all__ = [
    "Evidence",
    "Grouping",
    "ImageHashes",
    "OpenedProject",
    "PrintAgreement",
    "communities",
    "embed",
    "group",
    "hash_image",
    "open_project",
    "verify",
]
