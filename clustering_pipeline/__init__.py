"""Groups the product photos of a marketplace catalogue into clusters, one cluster per product
model.

The names of `clustering_pipeline.api`, the public face for Python described in docs/api.md, are
named here too; they are imported when one is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustering_pipeline.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # Python asks a package for many names of its own; only for these is the face imported.
    if name == "__all__" or not name.startswith("_"):
        api = import_module("clustering_pipeline.api")
        if name == "__all__" or name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module("clustering_pipeline.api").__all__])
