"""What damage leaves: files of a finished home that are lost, emptied, cut or changed by a bit, and
two homes on one storage.

All runs are those of the command line, on a drawn catalogue of a few listings on loopback.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.drawn_shop import DrawnShop, end, labels, open_shop, start
from benchmarks.figures import Figure, Options
from benchmarks.pipeline import clustering_pipeline
from benchmarks.trials import Record, Trials


def run(options: Options) -> list[Figure]:
    """Damage one thing at a time, then run a second home."""
    trials = Trials("damage", options)
    with open_shop(options.scratch) as shop:
        damaged = _damage(options, shop, trials)
        second = trials.take("two homes", lambda: _two_homes(options.scratch, shop))
    return [*damaged, *([] if second is None else _of_two_homes(second))]


Damage = Callable[[Path], None]


def _lose(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _scribble(path: Path) -> None:
    path.write_bytes(b"\0" * max(path.stat().st_size, 100))


KINDS: dict[str, Damage] = {"lost": _lose, "empty": _empty, "cut": _cut, "a bit flipped": _flip}


def _victims(home: Path) -> dict[str, tuple[list[Path], Sequence[str]]]:
    """Return the files that are damaged, with the kinds of damage, by what they are."""
    storage, state = home / "storage", home / "state"
    manifests = storage / "manifests"

    def blob(asset: str, column: str) -> list[Path]:
        digest = pd.read_parquet(manifests / asset / "serum.parquet")[column].dropna().iloc[0]
        return [storage / "blobs" / digest[:2] / digest]

    source = json.loads((storage / "sources" / "serum.json").read_text())["sha256"]
    every = tuple(KINDS)
    return {
        "a picture": (blob("raw_images", "image_sha256"), every),
        "features of a picture": (blob("local_features", "features"), every),
        "the copy of the workbook": ([storage / "blobs" / source[:2] / source], every),
        "all parts of cached rows": (sorted(storage.glob("features/*/*/*.parquet")), every),
        "the manifest of the catalogue": ([manifests / "catalogue" / "serum.parquet"], every),
        "the manifest of the clusters": ([manifests / "clusters" / "serum.parquet"], every),
        "the facts of the workbook": ([manifests / "labeled_excel" / "serum.facts.json"], ("lost", "cut")),
        "the record of the source": ([storage / "sources" / "serum.json"], ("empty", "cut")),
        "the register of numbers": ([state / "cluster_numbers.sqlite"], ("lost", "empty", "cut")),
        "the corrections": ([state / "corrections.sqlite"], ("lost", "empty", "cut")),
        "the journal of downloads": ([state / "download.sqlite"], ("empty", "cut")),
        "Dagster's index of events": ([home / "history/runs/index.db"], ("lost", "empty")),
    }  # fmt: skip


def _damage(options: Options, shop: DrawnShop, trials: Trials) -> list[Figure]:
    """Damage one thing of a finished home at a time, and run it again, twice where the first run
    fails.
    """
    base, expected = _finished_home(options.scratch / "base", shop)
    cases = {
        f"{what}, {kind}": (files, kind)
        for what, (files, kinds) in _victims(base).items()
        for kind in (kinds[:1] if options.quick else kinds)
    }
    found: dict[str, Record] = {}
    for name, (files, kind) in cases.items():
        trial = _Trial(options.scratch / "trial", base, expected, shop)
        record = trials.take(name, partial(trial.of, files, kind))
        if record is not None:
            found[name] = record
    return figures(found, len(cases), trials.commits)


def figures(found: dict[str, Record], asked: int, commits: str) -> list[Figure]:
    """Return what the cases that were tried show, and how many of all these are."""
    of = f"of {len(found)} cases that were tried"

    def those(outcome: str) -> list[str]:
        return [name for name, record in found.items() if record["outcome"] == outcome]

    wrong, stuck, second = those("wrong"), those("stuck"), those("second")
    told = f"commit {commits}" if commits else ""
    return [
        Figure("cases of damage that were tried", len(found), "", asked, note=told),
        Figure(f"results that are wrong without a word, {of}", len(wrong), "", 0, "at most", note="; ".join(wrong)),
        Figure(f"runs that fail for ever, {of}", len(stuck), "", 0, "at most", note="; ".join(stuck)),
        Figure(f"made good by the second run instead of the first, {of}", len(second), note="; ".join(second)),
    ]  # fmt: skip


def _finished_home(folder: Path, shop: DrawnShop) -> tuple[Path, list[list[object]]]:
    """Return a home with a labelled catalogue and a correction, and its labels."""
    home, output, said = folder / "home", folder / "serum.xlsx", folder / "said.csv"
    folder.mkdir()
    clustering_pipeline(home, *shop.command("serum", output))
    pair = [str(row[0]) for row in labels(output) or [] if row[1] == 1][:2]
    said.write_text(f"kind,id_a,id_b\ndifferent,{pair[0]},{pair[1]}\n")
    clustering_pipeline(home, "corrections", "import", str(said))
    clustering_pipeline(home, *shop.command("serum", output))
    return home, labels(output) or []


class _Trial:
    """A copy of a finished home, of which something is damaged."""

    def __init__(
        self, folder: Path, base: Path, expected: list[list[object]], shop: DrawnShop
    ) -> None:
        self.folder, self.base, self.expected, self.shop = folder, base, expected, shop

    def of(self, files: Sequence[Path], kind: str) -> Record:
        """Return what came of one damage: `first` or `second` (the run that made it good), `wrong`
        or `stuck`, and what the last run said.
        """
        home, output = self.folder / "home", self.folder / "serum.xlsx"
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.base, home)
        for file in files:
            KINDS[kind](home / file.relative_to(self.base))
        for attempt in ("first", "second"):
            # Everything is read again, not only what is not fresh.
            ended = end(
                start(home, self.shop.command("serum", output, "--force")), time.monotonic()
            )
            if ended.code == 0:
                is_right = labels(output) == self.expected
                return _record(attempt if is_right else "wrong", ended.messages)
        return _record("stuck", ended.messages)


def _record(outcome: str, messages: str) -> Record:
    return {"outcome": outcome, "said": re.sub(r"\s+", " ", messages)[-600:]}


def _two_homes(scratch: Path, shop: DrawnShop) -> Record:
    """Run two homes on one storage."""
    storage, homes = scratch / "shared", [scratch / name for name in ("one", "two")]
    for home in homes:
        home.mkdir()
        (home / "settings.yaml").write_text(f"storage:\n  root: {storage}\n")
    clustering_pipeline(homes[0], *shop.command("serum", scratch / "one.xlsx"))
    second = end(start(homes[1], shop.command("toner", scratch / "two.xlsx")), time.monotonic())
    return {
        "refused": second.code == 2 and "belongs to the home" in second.messages,
        "given": len(labels(scratch / "two.xlsx") or []),
        "said": " ".join(second.messages.replace(str(scratch), "").split())[:200],
    }


def _of_two_homes(second: Record) -> list[Figure]:
    return [
        Figure("second home on a storage: refused in words", int(second["refused"]), "", 1, note=second["said"]),
        Figure("second home on a storage: numbers given twice", second["given"], "", 0, "at most"),
    ]  # fmt: skip
