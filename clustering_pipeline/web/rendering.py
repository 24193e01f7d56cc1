"""What every page shares: templates, language, light or dark, the secret of forms, and error pages;
also for the pages that stages write.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.markup import open_templates
from clustering_pipeline.outputs.report import (
    Language,
    Texts,
    certainty,
    link_words,
    read_words,
    reason_in,
    translated,
)
from clustering_pipeline.web.security import ServeOptions

LANGUAGE_COOKIE, AUTHOR_COOKIE = "cp_language", "cp_author"
LONGEST_NAME = 80
STAMP_MARK = "."
STATIC_TYPES = {
    "base.css": "text/css",
    "serve.css": "text/css",
    "serve.js": "text/javascript",
    "queue.js": "text/javascript",
    "loop.js": "text/javascript",
    "map.js": "text/javascript",
    "cluster.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
# The field that every form of our pages has: the secret of the process, and the stamp of what the
# page shows.
Secret = Annotated[str, Form()]


@dataclass(frozen=True)
class _NumberedForm:
    request: Request
    slug: str
    number: int
    secret: Secret


# What every form about a cluster or a listing of a category brings.
NumberedForm = Annotated[_NumberedForm, Depends()]
# Which page of a list is asked for, from 1.
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]


def page_of(items: Sequence[Any], page: int, size: int) -> dict[str, Any]:
    """Return what templates show of one page of a list: its items and where it stands."""
    return {
        "shown": items[(page - 1) * size : page * size],
        "page": page,
        "last_page": max(1, -(-len(items) // size)),
    }


class Pages:
    """Renders templates for requests."""

    def __init__(self, options: ServeOptions) -> None:
        self.options = options
        # A page of another site cannot read ours, so a secret of this process in every form proves
        # where the form came from.
        self.form_secret = secrets.token_urlsafe(24)
        self._environment = open_templates(
            "clustering_pipeline.web", "clustering_pipeline.outputs.report"
        )

    def render(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Return a page in the language that the reader chose."""
        language = language_of(request)
        answer = HTMLResponse(self.text(request, template, **values), status)
        if request.query_params.get("lang") == language:
            answer.set_cookie(
                LANGUAGE_COOKIE, language, max_age=31_536_000, samesite="strict", httponly=True
            )
        return answer

    def text(self, request: Request, template: str, **values: Any) -> str:
        """Return a page, or a part of one, as text."""
        language = language_of(request)
        return self._environment.get_template(template).render(
            texts=Texts(language, read_words("clustering_pipeline.web")),
            path=request.url.path,
            other_language=_with_language(request, "en" if language == "vi" else "vi"),
            form_secret=self.form_secret + STAMP_MARK + _seen(values),
            certainty=certainty,
            link_words=link_words,
            reason_in=reason_in,
            error_in=error_in,
            duration=duration,
            author=self.author(request),
            asks_name=self.options.is_shared and AUTHOR_COOKIE not in request.cookies,
            dagster_url=self.options.dagster_url,
            **{"problem": None, **values},
        )

    def author(self, request: Request) -> str:
        """Return who acts: the name that this browser was given, else who started the server."""
        named = unquote(request.cookies.get(AUTHOR_COOKIE, ""))[:LONGEST_NAME]
        return named or self.options.author

    def check_form(self, secret: str) -> None:
        """Raise 403 unless a form carries this process's secret."""
        own = secret.partition(STAMP_MARK)[0]
        if not secrets.compare_digest(own.encode(), self.form_secret.encode()):
            raise HTTPException(
                403,
                "The form is from before the server was restarted. Reload the page and try again.",
            )


def check_seen(secret: str, stamp: str) -> None:
    """Raise InputError unless the page of a form showed what `stamp` stands for, so that no answer
    is taken for one about other listings.
    """
    if secret.partition(STAMP_MARK)[2] != stamp:
        raise InputError(
            "The listings or clusters changed since the page was opened, and nothing was recorded. "
            "Look at them as they are now and answer again."
        )


def _seen(values: Mapping[str, Any]) -> str:
    """Return the stamp of what a page shows: its own, else that of its category's listings."""
    category = values.get("category")
    stamp = values.get("stamp", "" if category is None else category.stamp)
    return str(stamp)


def error_in(error: object, language: Language) -> str:
    """Return what an error says in a language, as far as its sentences are known in it."""
    return translated(str(error), language, "clustering_pipeline.web")


def duration(seconds: float, texts: Texts) -> str:
    """Return a time in words: "42 s", "3 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return texts["minutes_short"].format(minutes, f"{rest:02d}")
    return texts["seconds_short"].format(rest)


def language_of(request: Request) -> Language:
    """Return the language asked for in the URL, else in the cookie, else by the browser."""
    wishes = (
        request.query_params.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", "")[:2].lower(),
    )
    return next(
        (language for wish in wishes for language in ("en", "vi") if wish == language), "en"
    )


def static_files() -> dict[str, bytes]:
    """Return the style sheets and scripts, read once; no request reads a file."""
    report, serve = (
        files("clustering_pipeline.outputs.report") / "templates",
        files("clustering_pipeline.web") / "static",
    )
    return {
        name: ((report if name == "base.css" else serve) / name).read_bytes()
        for name in STATIC_TYPES
    }


def _with_language(request: Request, language: Language) -> str:
    url = request.url.include_query_params(lang=language)
    return f"{url.path}?{url.query}"


def statement_numbers(text: str) -> list[int]:
    """Return the numbers of statements in a text such as "12,13", at most 1,000; raises
    InputError.
    """
    parts = [part for part in text.split(",") if part]
    if not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise InputError("Corrections are named by their numbers, separated by commas.")
    return [int(part) for part in parts[:1000]]


# What stands between two tags, and what is said to those who see no pictures.
_TEXT = re.compile(r'(?<=>)[^<>]*\w[^<>]*(?=<)|(?<= alt=")[^"]+|(?<= aria-label=")[^"]+')
_UNTOUCHED = re.compile(r"(<style>.*?</style>|<script>.*?</script>)", re.DOTALL)


def in_theme(page: bytes, theme: str) -> bytes:
    """Return a page that is light or dark whatever the system prefers, as it is where `theme` is
    empty.
    """
    return page.replace(b"<html ", f'<html data-theme="{theme}" '.encode(), 1) if theme else page


def in_language(page: bytes, language: Language) -> bytes:
    """Return a page whose sentences are in a language, as far as they are known in it; what is not
    known stays in English.
    """
    if language == "en":
        return page
    parts = _UNTOUCHED.split(page.decode())
    said = [
        part if number % 2 else _TEXT.sub(lambda match: _said(match[0], language), part)
        for number, part in enumerate(parts)
    ]
    return "".join(said).replace('<html lang="en"', f'<html lang="{language}"', 1).encode()


def _said(text: str, language: Language) -> str:
    """Return the text of a page in a language, the room around it as it was."""
    sentence = " ".join(unescape(text).split())
    spoken = reason_in(translated(sentence, language, "clustering_pipeline.web"), language)
    if spoken == sentence:
        return text
    before, after = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
    return text[:before] + escape(spoken) + (text[-after:] if after else "")
