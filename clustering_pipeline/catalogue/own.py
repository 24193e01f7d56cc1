"""The columns and sheets that this project adds to a workbook, recognised again when the workbook comes back."""

from collections.abc import Sequence

OWN_COLUMNS = ("cluster_id", "cluster_name", "cluster_size", "is_representative", "confidence", "status", "reason")
OWN_PREFIX = "cp_"
# A lone `status` is the user's; this many of our names side by side are ours.
TELLING_RUN = 3

# The first headers of each sheet that is added.
OWN_SHEETS = {
    "Clusters": ("cluster_id", "cluster_name", "cluster_size", "picture"),
    "Problems": ("sheet", "row", "product_base_id", "status", "reason"),
    "Summary": ("summary", "value"),
}


def own_name(header: str) -> str | None:
    """Return which of our columns a header names, with or without the prefix that keeps it apart from the user's."""
    name = header.strip().removeprefix(OWN_PREFIX)
    return name if name in OWN_COLUMNS else None


def own_columns(header: Sequence[str]) -> dict[int, str]:
    """Return the column numbers (from 1) of a header row that an earlier run added, with the name of each.

    Ours stand side by side in their fixed order, from `cluster_id` on; one that a person removed may be missing.
    """
    names = [own_name(text) for text in header]
    best: dict[int, str] = {}
    for start, name in enumerate(names):
        run = _run_from(names, start) if name == OWN_COLUMNS[0] else {}
        if len(run) >= max(TELLING_RUN, len(best)):
            best = run
    return best


def _run_from(names: Sequence[str | None], start: int) -> dict[int, str]:
    run: dict[int, str] = {}
    rank = -1
    for position in range(start, len(names)):
        name = names[position]
        if name is None or OWN_COLUMNS.index(name) <= rank:
            break
        rank = OWN_COLUMNS.index(name)
        run[position + 1] = name
    return run


def is_own_sheet(name: str, header: Sequence[str]) -> bool:
    """Whether a sheet is one that an earlier run added: by its name and its first headers."""
    expected = OWN_SHEETS.get(name.removeprefix(OWN_PREFIX))
    return expected is not None and tuple(text.strip() for text in header[: len(expected)]) == expected
