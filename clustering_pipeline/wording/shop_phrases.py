"""What Vietnamese and English shops put into any title: claims of authenticity, price, delivery, stock and novelty."""

import re

# Without accents and punctuation, in lower case. "moi" alone would also be the lips of a lipstick.
_PHRASES = """
100 authentic, 100 chinh hang, auth, authentic, chinh hang 100, cam ket chinh hang, chinh hang, hang chinh hang, hang auth, hang chuan,
hang cong ty, hang hieu, hang nhap khau, hang xach tay, nhap khau, chuan chinh hang, co tem, tem phu, du bill, full bill, bill mua,
free ship, freeship, freeship extra, mien phi van chuyen, giao hang nhanh, giao nhanh, giao hoa toc, hoa toc, ship nhanh,
gia re, gia re nhat, gia si, gia soc, gia tot, gia tot nhat, sieu re, re vo dich, sieu sale, flash sale, sale, sale off, sale soc, giam gia,
khuyen mai, uu dai, deal, hot deal, deal hot, hot, ma giam, thanh ly, xa kho, ban chay, ban chay nhat, best seller, bestseller, hot trend,
mau moi, mau moi nhat, moi nhat, hang moi, bao bi moi, new arrival, date moi, date xa, date dai, hang co san, co san, san hang, hang san,
cao cap, chat luong, chat luong cao, uy tin, yeu thich, mall, official, official store, shop, store, kem qua, kem qua tang, tang qua
"""
_ANY = re.compile(
    r"\b(?:" + "|".join(sorted((phrase.strip() for phrase in _PHRASES.split(",")), key=len, reverse=True)) + r")\b"
)


def without_shop_phrases(words: str) -> str:
    """Return plain words, parted by spaces, without what shops put into any title."""
    return " ".join(_ANY.sub(" ", words).split())
