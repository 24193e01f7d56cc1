"""Which crop stands for which: the perceptual and the semantic duplicates, each followed to the
keeper of its keeper.
"""

from collections.abc import Mapping

import pandas as pd


def keepers(clean_images: pd.DataFrame, semantic_duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return `crop_sha256`, `keeper`, `relation`, `too_alike` of every crop that the quality limits
    let through.

    `keeper` is the crop that finally stands for it, itself included; `relation` to it is "",
    "duplicate" or "semantic duplicate". One that is rejected for being too alike, as itself or by
    its keeper, has a reason `too_alike` and no keeper.

    Example:
        >>> clean = pd.DataFrame({"crop_sha256": ["a", "b", "c"]})
        >>> clean = clean.assign(status=["kept", "duplicate", "kept"], keeper=[None, "a", None])
        >>> semantic = pd.DataFrame({"crop_sha256": ["a", "c"], "keeper": "a", "reason": None})
        >>> keepers(clean, semantic)["keeper"].to_list()
        ['a', 'a', 'a']
        >>> keepers(clean, semantic)["relation"].to_list()
        ['', 'duplicate', 'semantic duplicate']
    """
    perceptual = perceptual_keepers(clean_images)
    alike = linked(semantic_duplicates)
    both = perceptual | dict(zip(alike["crop_sha256"], alike["keeper"], strict=True))
    too_alike = alike[alike["reason"].notna()].set_index("crop_sha256")["reason"].to_dict()
    rows: list[tuple[str, str | None, str, str | None]] = []
    for crop, same in perceptual.items():
        last = _follow(crop, both)
        relation = "semantic duplicate" if last != same else "duplicate" if same != crop else ""
        rows.append((crop, None if same in too_alike else last, relation, too_alike.get(same)))
    return pd.DataFrame(
        rows, columns=["crop_sha256", "keeper", "relation", "too_alike"], dtype=object
    )


def perceptual_keepers(clean_images: pd.DataFrame) -> dict[str, str]:
    """Return the crop that shows the same picture as each crop that was not rejected, itself
    included.
    """
    usable = clean_images[clean_images["status"] != "rejected"]
    direct = dict(
        zip(usable["crop_sha256"], usable["keeper"].fillna(usable["crop_sha256"]), strict=True)
    )
    return {crop: _follow(crop, direct) for crop in direct}


def linked(semantic_duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of SEMANTIC_DUPLICATES whose crop has another one as its keeper."""
    return semantic_duplicates[semantic_duplicates["keeper"] != semantic_duplicates["crop_sha256"]]


def _follow(crop: str, keeper_of: Mapping[str, str]) -> str:
    visited = {crop}
    while (keeper := keeper_of.get(crop, crop)) not in visited:
        crop = keeper
        visited.add(crop)
    return crop
