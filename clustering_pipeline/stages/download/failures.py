"""Why a request gave no picture: the kinds of failure, and answers and errors in the words of a
person.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from clustering_pipeline.core.errors import InputError

FailureKind = Literal[
    "invalid_url",
    "blocked_address",
    "dns",
    "connect",
    "tls",
    "timeout",
    "not_found",
    "forbidden",
    "rate_limited",
    "server_error",
    "http_error",
    "too_many_redirects",
    "too_large",
    "not_an_image",
    "truncated",
    "bomb",
    "too_small",
    "unsupported_format",
]
FAILURE_KINDS: Final[tuple[FailureKind, ...]] = get_args(FailureKind)

# What may be different an hour later, and is asked again at the next run.
TRANSIENT_KINDS: Final = frozenset(
    {"dns", "connect", "tls", "timeout", "rate_limited", "server_error"}
)

_STATUS_KINDS: Final[dict[int, FailureKind]] = {
    401: "forbidden",
    403: "forbidden",
    404: "not_found",
    407: "forbidden",
    408: "timeout",
    410: "not_found",
    429: "rate_limited",
    451: "forbidden",
}
_STATUS_SENTENCES: Final[dict[FailureKind, str]] = {
    "not_found": "{host} has no picture at this address (HTTP {status}). Correct the URL, or "
    "remove the listing.",
    "forbidden": "{host} refuses this picture (HTTP {status}). Open the URL in a browser: it may "
    "need a login or a signed link.",
    "timeout": "{host} gave up waiting for the request (HTTP {status}). It is asked again at the "
    "next run.",
    "rate_limited": "{host} asks for fewer requests (HTTP {status}). It is asked again at the next "
    "run; lower download.per_host_concurrency or set download.requests_per_second_per_host.",
    "server_error": "{host} has a fault of its own (HTTP {status}). It is asked again at the next "
    "run.",
    "http_error": "{host} answers with HTTP {status} instead of a picture. Open the URL in a "
    "browser to see why.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One picture's failure; `transient` ones are asked again at the next run, the others by the
    refresh policy.
    """

    kind: FailureKind
    sentence: str
    http_status: int | None = None
    transient: bool = False


class FetchError(InputError):
    """A picture asked for on its own could not be had; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def failure(kind: FailureKind, sentence: str, http_status: int | None = None) -> Failure:
    """Return a failure that is transient exactly if its kind is."""
    return Failure(kind, sentence, http_status, kind in TRANSIENT_KINDS)


def status_failure(status: int, host: str) -> Failure:
    """Return the failure that an HTTP status other than a picture, a redirect or 304 stands for."""
    kind = "server_error" if status >= 500 else _STATUS_KINDS.get(status, "http_error")
    sentence = _STATUS_SENTENCES[kind].format(host=host, status=status)
    return Failure(kind, sentence, status, kind in TRANSIENT_KINDS or status == 425)


def is_retryable_status(status: int) -> bool:
    """Whether a further attempt in the same run can help: 408, 425, 429 and 5xx."""
    return status in (408, 425, 429) or status >= 500
