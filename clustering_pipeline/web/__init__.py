"""The web pages on which people review and search clusters, and the JSON API for programs."""

from clustering_pipeline.web.app import create_app
from clustering_pipeline.web.limits import server_config
from clustering_pipeline.web.security import ServeOptions, is_loopback, new_token

__all__ = ["ServeOptions", "create_app", "is_loopback", "new_token", "server_config"]
