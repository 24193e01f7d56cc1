"""Knobs of fetching pictures."""

from typing import Literal

from pydantic import Field, field_validator

from clustering_pipeline.settings.base import StageSettings, performance_field

RefreshPolicy = Literal["never", "if_older_than", "always"]


class DownloadSettings(StageSettings):
    """How pictures are fetched, what counts as one, and when one that is held is asked for again."""

    allow_hosts: tuple[str, ...] = Field(
        (), description="HOST or HOST:PORT entries that may be reached although their address is loopback or private."
    )
    trust_proxy: bool = Field(
        False,
        description="Use the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). A proxy resolves host names "
        "itself, so private addresses are no longer refused by name, only when written as numbers. Allowed hosts go without it.",
    )
    refresh: RefreshPolicy = Field(
        "never",
        description="When a picture that is held is asked for again: never, if_older_than (refresh_after_days) or always.",
    )
    refresh_after_days: float = Field(
        30.0, description="Age in days above which the policy if_older_than asks for a held picture again.", ge=0
    )
    max_bytes: int = Field(20_000_000, description="Largest picture file, in bytes after content decoding.", ge=1)
    max_pixels: int = Field(80_000_000, description="Largest picture, width × height in pixels, checked before decoding.", ge=1)
    min_side: int = Field(8, description="Smallest width and height of a picture, in pixels.", ge=1)
    max_redirects: int = Field(5, description="Redirects followed from one URL; every hop's address is checked.", ge=0, le=20)
    user_agent: str = Field(
        "Mozilla/5.0 (compatible; clustering-pipeline)", description="The User-Agent header of every request.", min_length=1
    )
    concurrency: int = performance_field(64, "Requests under way at once.", ge=1, le=1024)
    per_host_concurrency: int = performance_field(16, "Requests under way at once to one host and port.", ge=1, le=256)
    requests_per_second_per_host: float | None = performance_field(
        None, "Most requests begun per second to one host and port; unlimited when unset.", gt=0
    )
    retries: int = performance_field(
        3,
        "Further attempts after a time-out, a reset, a refused connection or the statuses 408, 425, 429 and 5xx.",
        ge=0,
        le=20,
    )
    backoff_seconds: float = performance_field(
        0.5, "Longest wait before the first further attempt, in seconds; it doubles each time, and half of it is random.", ge=0
    )
    connect_seconds: float = performance_field(10.0, "Time to connect to one address, in seconds.", gt=0)
    idle_seconds: float = performance_field(
        15.0, "Longest silence of a server before its answer and within it, in seconds.", gt=0
    )
    attempt_seconds: float = performance_field(30.0, "Longest time of one attempt, in seconds.", gt=0)
    deadline_seconds: float = performance_field(
        60.0, "Longest time from the first attempt at a picture to the end of the last, waits included, in seconds.", gt=0
    )
    breaker_failures: int = performance_field(
        10, "Connection failures, time-outs and exhausted 5xx in a row after which a host is set aside.", ge=1
    )
    breaker_probe_seconds: float = performance_field(
        5.0, "Wait before a host that was set aside is tried again, in seconds; it doubles each time.", gt=0
    )
    breaker_patience_seconds: float = performance_field(
        30.0, "How long a host that was set aside is tried before its pictures are given up for this run, in seconds.", gt=0
    )
    warn_failed_share: float = performance_field(0.05, "Share of failed pictures above which the check warns.", ge=0, le=1)
    max_failed_share: float = performance_field(0.5, "Share of failed pictures above which the check fails.", ge=0, le=1)

    @field_validator("allow_hosts")
    @classmethod
    def _name_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not entry.strip() or "/" in entry or "@" in entry:
                raise ValueError(f"{entry!r} is not HOST or HOST:PORT, such as 127.0.0.1:8765 or pictures.intranet")
        return entries
