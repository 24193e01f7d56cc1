"""The web pages on which people review and search clusters, and the JSON API for programs.

The face is imported when one of its names is first used: the process of a background run lies in
this folder too, and needs no server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustering_pipeline.web.app import create_app
    from clustering_pipeline.web.security import ServeOptions, is_loopback, new_token, server_config

_MODULES = {
    "ServeOptions": "security",
    "create_app": "app",
    "is_loopback": "security",
    "new_token": "security",
    "server_config": "security",
}

__all__ = ["ServeOptions", "create_app", "is_loopback", "new_token", "server_config"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
