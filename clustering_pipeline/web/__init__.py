"""The web pages on which people review and search clusters, and the JSON API for programs.

The face is imported when one of its names is first used: the process of a background run lies in
this folder too, and needs no server.
"""

from typing import TYPE_CHECKING

from clustering_pipeline.core.faces import imported_when_used

if TYPE_CHECKING:
    from clustering_pipeline.web.app import create_app
    from clustering_pipeline.web.security import ServeOptions, is_loopback, new_token, server_config

__all__ = ["ServeOptions", "create_app", "is_loopback", "new_token", "server_config"]

__getattr__ = imported_when_used(
    __name__,
    {
        "app": ["create_app"],
        "security": ["ServeOptions", "is_loopback", "new_token", "server_config"],
    },
)
