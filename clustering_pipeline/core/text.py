"""Text without what shops and readers write differently: capitals, accents, punctuation, stock
phrases.
"""

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

from clustering_pipeline.core.errors import InputError


def plain_letters(text: str) -> str:
    """Return `text` in lower case without accents, punctuation and spaces: what survives any
    reader.
    """
    return plain_words(text).replace(" ", "")


def plain_words(text: str) -> str:
    """Return the words of `text` in lower case without accents and punctuation, parted by single
    spaces.

    Example:
        >>> plain_words("Kem Chống Nắng (50ml) — CHÍNH HÃNG!")
        'kem chong nang 50ml chinh hang'
    """
    bare = without_accents(text)
    return " ".join("".join(letter if letter.isalnum() else " " for letter in bare).split())


def without_accents(text: str) -> str:
    """Return `text` in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text).casefold().replace("đ", "d")
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def title_words(title: str) -> tuple[str, ...]:
    """Return the words of a title without case and punctuation: what equal titles share.

    Example:
        >>> title_words("Kem Hada-Labo, 50g!") == title_words("kem hada labo 50G")
        True
    """
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", title).casefold()))


def plain_header(header: str) -> str:
    """Return a column's header as lists of usual headers write them.

    Example:
        >>> plain_header("Mã sản phẩm *")
        'ma_san_pham'
    """
    return re.sub(r"[^a-z0-9]+", "_", without_accents(header)).strip("_")


@lru_cache(maxsize=1 << 18)
def string_similarity(first: str, second: str) -> float:
    """Return twice the longest common subsequence over all characters; 1 when the shorter is part
    of the longer.

    Example:
        >>> string_similarity("sunplay", "sunplay watery cool")
        1.0
        >>> round(string_similarity("anessa", "anesta"), 3)
        0.833
    """
    if not first or not second:
        return 0.0
    if first in second or second in first:
        return 1.0
    return fuzz.ratio(first, second) / 100


# Without accents and punctuation, in lower case. "moi" alone would also be the lips of a lipstick.
_PHRASES = """
100 authentic, 100 chinh hang, auth, authentic, chinh hang 100, cam ket chinh hang, chinh hang, hang
chinh hang, hang auth, hang chuan, hang cong ty, hang hieu, hang nhap khau, hang xach tay, nhap
khau, chuan chinh hang, co tem, tem phu, du bill, full bill, bill mua, free ship, freeship, freeship
extra, mien phi van chuyen, giao hang nhanh, giao nhanh, giao hoa toc, hoa toc, ship nhanh, gia re,
gia re nhat, gia si, gia soc, gia tot, gia tot nhat, sieu re, re vo dich, sieu sale, flash sale,
sale, sale off, sale soc, giam gia, khuyen mai, uu dai, deal, hot deal, deal hot, hot, ma giam,
thanh ly, xa kho, ban chay, ban chay nhat, best seller, bestseller, hot trend, mau moi, mau moi
nhat, moi nhat, hang moi, bao bi moi, new arrival, date moi, date xa, date dai, hang co san, co san,
san hang, hang san, cao cap, chat luong, chat luong cao, uy tin, yeu thich, mall, official, official
store, shop, store, kem qua, kem qua tang, tang qua
"""
_ANY = re.compile(
    r"\b(?:"
    + "|".join(
        sorted(
            (phrase.strip() for phrase in " ".join(_PHRASES.split()).split(",")),
            key=len,
            reverse=True,
        )
    )
    + r")\b"
)


def without_shop_phrases(words: str) -> str:
    """Return plain words, parted by spaces, without what shops put into any title.

    Example:
        >>> without_shop_phrases("chinh hang sua rua mat freeship")
        'sua rua mat'
    """
    return " ".join(_ANY.sub(" ", words).split())


MAX_LENGTH = 80


def category_slug(name: str) -> str:
    """Return the slug of a category's display name: ASCII letters, digits and single hyphens, at
    most 80 characters.

    Raises InputError when the name has no letter or digit that can be kept.

    Example:
        >>> category_slug("Sữa rửa mặt & Tẩy trang")
        'sua-rua-mat-tay-trang'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", without_accents(name)).strip("-")[:MAX_LENGTH].rstrip("-")
    if not slug:
        raise InputError(
            f"The category name {name!r} has no Latin letter or digit to make a key of. Give "
            f"another one with --category NAME."
        )
    return slug


def normal_form(word: str) -> str:
    """Return the word in NFC and lower case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", word).casefold().split())
