"""The pages that stages write, as the reader of ours sees them: light or dark, and in their
language.
"""

import re
from html import escape, unescape

from clustering_pipeline.outputs.report import Language, reason_in, translated

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
