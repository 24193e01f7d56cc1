"""One question to Gemini: asked again when the server says so, and no sooner; refusals named."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.settings import PromptSettings

KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
# The client reads the first that is set.
ENTERPRISE_VARIABLES = ("GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_GENAI_USE_VERTEXAI")
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
# Reasons to end an answer that may be otherwise the next time.
ORDINARY_ENDS = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_RESPONSE"})
RETRY_INFO = "google.rpc.RetryInfo"
GLOSSARY_REMEDY = "or set prompts.translator to glossary"


@dataclass
class Usage:
    """What the requests cost so far, in tokens; thoughts are paid for as the answer is."""

    requests: int = 0
    input: int = 0
    output: int = 0
    thinking: int = 0

    def add(self, counted: Any) -> None:
        """Add a response's usage_metadata, which may be missing."""
        self.requests += 1
        self.input += (counted and counted.prompt_token_count) or 0
        self.output += (counted and counted.candidates_token_count) or 0
        self.thinking += (counted and counted.thoughts_token_count) or 0


def uses_enterprise() -> bool:
    """Whether the environment says that Gemini is asked through Vertex AI (Gemini Enterprise)."""
    said = [os.environ[name] for name in ENTERPRISE_VARIABLES if name in os.environ]
    return bool(said) and said[0].lower() in ("1", "true")


def has_credentials() -> bool:
    """Whether the environment holds a Gemini key, or says that Vertex AI is used."""
    return any(os.environ.get(name) for name in KEY_VARIABLES) or uses_enterprise()


class Attempts:
    """At most so many requests, whatever they fail for, with the waits that the server asks for."""

    def __init__(self, settings: PromptSettings) -> None:
        self.settings = settings
        self.left = settings.gemini_attempts
        self._delay = settings.gemini_retry_delay

    def ask(self, send: Callable[[], Any], usage: Usage) -> str:
        """Return the text of the first answer; raises StageError when there is none, when the
        server asks for a longer wait than the settings allow, or when it refuses the question.
        """
        while True:
            self.left -= 1
            try:
                response = send()
            except Exception as error:  # noqa: BLE001 - the client raises httpx, google.auth and its own kinds alike
                self._wait_after(error)
                continue
            usage.add(response.usage_metadata)
            _refuse_refusals(response, self.settings.gemini_model)
            return response.text or ""

    def _wait_after(self, error: Exception) -> None:
        """Sleep until the next request may be made; raises StageError when none may."""
        if not _is_transient(error) or self.left <= 0:
            raise self._failed(error) from None
        asked = asked_wait(error)
        if asked is not None and asked > self.settings.gemini_longest_wait:
            raise self._failed(
                error,
                f"It asks to wait {asked:,.0f} s, longer than prompts.gemini_longest_wait "
                f"({self.settings.gemini_longest_wait:,.0f} s). ",
            ) from None
        time.sleep(self._delay if asked is None else asked)
        self._delay *= 2

    def _failed(self, error: Exception, why: str = "") -> StageError:
        said = _without_secrets(str(error))
        return StageError(
            f"Gemini ({self.settings.gemini_model}) did not answer: {said}. {why}Check the "
            f"network, the key in {' or '.join(KEY_VARIABLES)} and its quota, "
            f"{GLOSSARY_REMEDY}."
        )


def asked_wait(error: Exception) -> float | None:
    """Return the seconds after which a failed request may be made again, as the answer's RetryInfo
    or its Retry-After header says; None when it says nothing.
    """
    for detail in _details(error):
        if str(detail.get("@type", "")).endswith(RETRY_INFO):
            seconds = _seconds(str(detail.get("retryDelay", "")).removesuffix("s"))
            if seconds is not None:
                return seconds
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    after = headers.get("Retry-After") or headers.get("retry-after")
    return None if after is None else _retry_after(str(after))


def _details(error: Exception) -> list[dict[str, Any]]:
    body = getattr(error, "details", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    details = inner.get("details", []) if isinstance(inner, dict) else []
    return [detail for detail in details if isinstance(detail, dict)]


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After header: a number of them, or a date (RFC 9110)."""
    seconds = _seconds(text)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _is_transient(error: Exception) -> bool:
    code = getattr(error, "code", None)
    if code is not None:
        return code in TRANSIENT_STATUSES
    # A connection that failed or timed out, in whichever client the library talks through.
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")


def _refuse_refusals(response: Any, model: str) -> None:
    """Raise StageError when the question was blocked or the answer stopped: asking again would be
    answered the same way.
    """
    feedback = response.prompt_feedback
    if feedback and feedback.block_reason:
        raise StageError(
            f"{model} refused the class words ({_name(feedback.block_reason)}). Look at "
            f"prompts.words, {GLOSSARY_REMEDY}."
        )
    reasons = [_name(one.finish_reason) for one in response.candidates or [] if one.finish_reason]
    stopped = [reason for reason in reasons if reason not in ORDINARY_ENDS]
    if stopped:
        raise StageError(
            f"{model} stopped its answer ({', '.join(stopped)}). Look at prompts.words, choose "
            f"another prompts.gemini_model, {GLOSSARY_REMEDY}."
        )


def _name(reason: Any) -> str:
    return str(getattr(reason, "value", reason))


def _without_secrets(message: str) -> str:
    for name in KEY_VARIABLES:
        secret = os.environ.get(name)
        message = message.replace(secret, "…") if secret else message
    return message[:500]
