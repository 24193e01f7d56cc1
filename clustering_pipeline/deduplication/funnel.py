"""The funnel in numbers: how many listings, pictures and crops go in and how many are left after each filter."""

import pandas as pd

Facts = dict[str, int | float | str]


def funnel_facts(raw_images: pd.DataFrame, crops: pd.DataFrame, clean_images: pd.DataFrame) -> Facts:
    """Return the counts after each filter, in the order of the funnel, and one count per kind of reject."""
    pictured = raw_images["image_sha256"].notna()
    status = clean_images["status"]
    rejected = clean_images.loc[status == "rejected", "reason_kind"].value_counts().sort_index()
    return {
        "pictures of listings": int(pictured.sum()),
        "distinct pictures": int(raw_images.loc[pictured, "image_sha256"].nunique()),
        "crops": int(crops["crop_sha256"].notna().sum()),
        "distinct crops": len(clean_images),
        "crops good enough": int((status != "rejected").sum()),
        "crops kept": int((status == "kept").sum()),
        "duplicates": int((status == "duplicate").sum()),
        **{f"rejected: {str(kind).replace('_', ' ')}": int(count) for kind, count in rejected.items()},
    }
