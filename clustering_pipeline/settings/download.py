"""Knobs of fetching pictures."""

from pydantic import Field

from clustering_pipeline.settings.base import StageSettings, performance_field


class DownloadSettings(StageSettings):
    """How pictures are fetched, and what counts as one."""

    allow_hosts: tuple[str, ...] = Field(
        (), description="HOST or HOST:PORT entries that may be reached although their address is loopback or private."
    )
    concurrency: int = performance_field(64, "Requests under way at once.", ge=1, le=1024)
    per_host_concurrency: int = performance_field(16, "Requests under way at once to one host.", ge=1, le=256)
