"""Which files of a hub's repository make up a model: one layout of its weights, and what goes with
them.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

# Beside the weights: configurations, tokenizers and labels. Code of a repository is never fetched.
COMPANIONS = ("*.json", "*.txt", "*.model")
INDEX = "{stem}.{suffix}.index.json"
# A repository often holds the same weights several times. The first layout that is there is taken:
# safetensors before pickled files, those of transformers before those of OpenCLIP.
LAYOUTS = (
    ("model", "safetensors"),
    ("open_clip_model", "safetensors"),
    ("pytorch_model", "bin"),
    ("open_clip_pytorch_model", "bin"),
)
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(?P<suffix>\w+)")


def files_to_pull(names: Iterable[str], listed: Sequence[str] = ()) -> list[str]:
    """Return which of a repository's files a model needs, sorted.

    `names` are the repository's files, those in folders left out; `listed` are patterns of those
    that the model's card names, none for a rule that fits every repository. Raises ValueError that
    says what is missing: any weights, or some of a set of shards.
    """
    top = sorted(name for name in names if "/" not in name)
    if listed:
        chosen = [name for name in top if any(fnmatchcase(name, one) for one in listed)]
        if weights_of(chosen):
            return chosen
    weights = weights_of(top)
    if not weights:
        raise ValueError("it holds no safetensors and no PyTorch weights")
    stem, suffix = _layout(weights[0])
    indexes = [name for name in top if name.endswith(".index.json")]
    own_index = INDEX.format(stem=stem, suffix=suffix)
    companions = {
        name
        for name in top
        if any(fnmatchcase(name, one) for one in COMPANIONS)
        and (name not in indexes or name == own_index)
    }
    return sorted({*weights, *companions})


def weights_of(names: Iterable[str]) -> list[str]:
    """Return the weight files of the first of `LAYOUTS` among `names`, one file or all shards of a
    set; raises ValueError for a set with holes.
    """
    held = set(names)
    for stem, suffix in LAYOUTS:
        if (single := f"{stem}.{suffix}") in held:
            return [single]
        shards = sorted(name for name in held if _layout(name) == (stem, suffix))
        if shards:
            _check_whole(shards)
            return shards
    return sorted(name for name in held if name.endswith(".safetensors"))


def _layout(name: str) -> tuple[str, str]:
    shard = _SHARD.fullmatch(name)
    if shard:
        return shard["stem"], shard["suffix"]
    stem, _, suffix = name.rpartition(".")
    return stem, suffix


def _check_whole(shards: Sequence[str]) -> None:
    counts = {shard["count"] for name in shards if (shard := _SHARD.fullmatch(name))}
    if {len(shards)} != {int(count) for count in counts}:
        raise ValueError(f"of the set of {', '.join(shards)} some files are missing")
