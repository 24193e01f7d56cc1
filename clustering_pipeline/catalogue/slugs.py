"""The partition key of a category."""

import re
import unicodedata

from clustering_pipeline.errors import InputError

MAX_LENGTH = 80


def without_accents(text: str) -> str:
    """Return `text` in lower case without diacritics: "Kem Chống Nắng" becomes "kem chong nang"."""
    decomposed = unicodedata.normalize("NFKD", text).lower().replace("đ", "d")
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def category_slug(name: str) -> str:
    """Return the slug of a category's display name: ASCII letters, digits and single hyphens, at most 80 characters.

    Raises InputError when the name has no letter or digit that can be kept.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", without_accents(name)).strip("-")[:MAX_LENGTH].rstrip("-")
    if not slug:
        raise InputError(
            f"The category name {name!r} has no Latin letter or digit to make a key of. Give another one with --category NAME."
        )
    return slug
