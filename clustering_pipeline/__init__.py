"""Groups the product photos of a marketplace catalogue into clusters, one cluster per product
model.

What is named here is the public face for Python, described in docs/api.md; each name is imported
when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustering_pipeline.api import (
        Evidence,
        Grouping,
        ImageHashes,
        OpenedProject,
        PrintAgreement,
        communities,
        embed,
        group,
        hash_image,
        open_project,
        verify,
    )

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("clustering_pipeline.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
