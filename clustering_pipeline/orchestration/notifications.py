"""The message that people get when a run failed."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence

import dagster as dg

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.orchestration.runtime.instance import PARTITION_TAG

TIMEOUT_SECONDS = 10
LONGEST_REASON = 600


def failure_message_of(
    run: dg.DagsterRun, failures: Sequence[tuple[str, str]], ui_url: str
) -> dict[str, str]:
    """Return the message of a failed run in Slack's format; `failures`: the failed assets with what
    each said.
    """
    category = run.tags.get(PARTITION_TAG, "")
    what = f"Category {category}" if category else f"Job {run.job_name}"
    lines = [f"• `{asset}`: {words[:LONGEST_REASON]}" for asset, words in failures] or [
        "• The run ended without a failed step."
    ]
    link = f"<{ui_url.rstrip('/')}/runs/{run.run_id}|run {run.run_id[:8]}>"
    return {"text": "\n".join([f"{what} failed in {link}.", *lines])}


def post(url: str, message: dict[str, str]) -> None:
    """Post a message to a webhook; raises StageError naming its host, never its path, which is a
    secret.
    """
    request = urllib.request.Request(
        url, json.dumps(message).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StageError(
            f"The failure message could not be posted to {request.host or 'the webhook'} "
            f"({type(error).__name__}). Check automation.webhook_url and the network."
        ) from None
