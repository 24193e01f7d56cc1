"""What a single request can come to."""

from dataclasses import dataclass

from yarl import URL

from clustering_pipeline.download.failures import Failure


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave to ask later whether its picture changed."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A complete answer below 300: the body, not yet judged."""

    body: bytes
    status: int
    validators: Validators


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that what is held is still right."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The picture is elsewhere; the new address is not yet checked."""

    url: URL


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that gave no picture.

    `retryable`: a further attempt in this run can help, `retry_after` seconds from now at the earliest. `host_down`: it
    speaks against the host; `answered`: a complete answer below 500 came, which speaks for the host.
    """

    failure: Failure
    retryable: bool = False
    retry_after: float | None = None
    host_down: bool = False
    answered: bool = False


Answer = Content | NotModified | Redirect | Refusal
