"""The loop in the browser: clicks and keys of a repair on real shop photos, pairs that are asked about although they are in other clusters, what axe finds on every page, and how fast a map of 20,000 pictures moves.

`--keep` keeps the runs of the three sets, which take longest.
"""

import csv
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.browsing import Hands, Repair, repair
from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.pages import served
from benchmarks.pipeline import clustering_pipeline, served_copy
from benchmarks.planted_map import SLUG, plant_category
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import serve_folder
from clustering_pipeline.web.category_cache import Category, Library

MOST_ACTS = 25
WIDTHS = (390, 1280)
# Of patience with a page on a busy machine.
MILLISECONDS = 180_000
GRAVE = ("serious", "critical")
# Forms of a cluster's page that ask about two listings.
PAIRS = re.compile(r'<form[^>]*action="[^"]*/pair">(.*?)</form>', re.S)


MAPPED, QUICKLY_MAPPED, ASKED_FRAMES = 20_000, 2_000, 30.0
SECONDS_OF_PANNING = 4
# Moves the map at every frame, as a hand does, and returns how many frames a second were shown.
PANNING = """async (seconds) => {
  const sheet = document.getElementById("sheet"), box = sheet.getBoundingClientRect();
  const send = (kind, x, y) => sheet.dispatchEvent(new PointerEvent(kind, {
    clientX: box.left + x, clientY: box.top + y, pointerId: 1, button: 0, bubbles: true }));
  sheet.setPointerCapture = () => {};
  send("pointerdown", 300, 200);
  const started = performance.now();
  let frames = 0;
  await new Promise((done) => {
    const frame = () => {
      if (performance.now() - started > seconds * 1000) { done(); return; }
      frames += 1;
      send("pointermove", 300 + 40 * Math.sin(frames / 10), 200 + 30 * Math.cos(frames / 10));
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  send("pointerup", 300, 200);
  return frames / ((performance.now() - started) / 1000);
}"""


@dataclass(frozen=True)
class Grouped:
    """A finished category of a home of its own."""

    project: Project
    category: Category


def run(options: Options) -> list[Figure]:
    """Mend the wrong merge of the shop photos by hand, ask every cluster of three sets, and look at
    every page.
    """
    storefront = _grouped(options, "storefront")
    sets = [storefront, _demo(options)] + ([] if options.quick else [_grouped(options, "sellers")])
    return [
        *_repaired(storefront, options),
        *(_asked_wrongly(one) for one in sets),
        _accessible(sets[1]),
        *_map(options),
    ]


def _home(options: Options, name: str) -> Path:
    return (options.kept or options.scratch) / name


def _grouped(options: Options, name: str) -> Grouped:
    # The suite `review` keeps the same run of the sellers' pictures.
    home, slug = _home(options, f"review-{name}"), "kem" if name == "sellers" else name
    if Project(PipelineHome(home)).manifests.read("clusters", slug) is None:
        dataset = options.dataset(name)
        with serve_folder(dataset) as shop:
            table = served_copy(dataset, shop, options.scratch / f"{slug}.xlsx")
            arguments = ("run", str(table), "--category", slug, "--allow-host", shop.host)
            clustering_pipeline(home, *arguments, seconds=7200)
    return _opened(home, slug)


def _demo(options: Options) -> Grouped:
    folder = _home(options, "browser-demo")
    if not (folder / "home").exists():
        clustering_pipeline(folder / "home", "demo", "--folder", str(folder), seconds=7200)
    return _opened(folder / "home", "hang-mau")


def _opened(home: Path, slug: str) -> Grouped:
    project = Project(PipelineHome(home))
    return Grouped(project, Library(project).category(slug))


def _repaired(grouped: Grouped, options: Options) -> list[Figure]:
    """Do the task on a copy, so that a kept run stays as it was."""
    copy = options.scratch / "repaired"
    shutil.copytree(grouped.project.home.path, copy)
    wrong = _wrong_merge(grouped.category, options.dataset("storefront") / "labels.csv")
    with _browser() as chromium, served(Project(PipelineHome(copy))) as address:
        page = chromium.new_page(base_url=address, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(MILLISECONDS)
        hands, started = Hands(page), time.perf_counter()
        workbook = repair(hands, grouped.category.display_name, wrong, options.scratch)
        seconds = time.perf_counter() - started
    return [
        Figure(
            "find the wrong merge of the 331 shop photos, split it, name both, merge two, undo, "
            "apply, download: clicks and keys",
            len(hands.acts),
            asked=MOST_ACTS,
            bound="at most",
            note=f"{'; '.join(hands.acts)}; {workbook.stat().st_size:,} bytes downloaded",
        ),
        Figure("the same, both runs of Apply included", seconds, "s"),
    ]


def _wrong_merge(category: Category, labels: Path) -> Repair:
    """Return the largest cluster that holds two products, with those of the smaller one."""
    with labels.open(encoding="utf-8", newline="") as file:
        product = {row["image"]: row["group"] for row in csv.DictReader(file)}
    for cluster in sorted(category.clusters, key=lambda one: -one.size):
        parts: dict[str, list[str]] = {}
        for listing in cluster.listings:
            name = product[listing.url.rpartition("/")[2]]
            parts.setdefault(name, []).append(listing.product_base_id)
        if len(parts) == 2:
            alien = min(parts.values(), key=len)
            return Repair(cluster.cluster_id, frozenset(alien))
    raise SuiteUnavailableError("no cluster of the shop photos holds two products")


def _asked_wrongly(grouped: Grouped) -> Figure:
    """Count the pairs that pages of clusters ask about and that are not in the clusters named."""
    category, asked, wrong = grouped.category, 0, 0
    placed = {number: one.cluster_id for number, one in category.listings.items()}
    with (
        served(grouped.project) as address,
        httpx.Client(base_url=address, timeout=120) as client,
    ):
        for cluster in category.clusters:
            page = client.get(f"/c/{category.slug}/review/{cluster.cluster_id}").text
            for form in PAIRS.findall(page):
                fields = dict(re.findall(r'name="(a|b|other)" value="(\d+)"', form))
                other = int(fields.get("other", cluster.cluster_id))
                pair = placed[int(fields["a"])], placed[int(fields["b"])]
                asked, wrong = asked + 1, wrong + (pair != (cluster.cluster_id, other))
    return Figure(
        f"pairs asked about that are not in the clusters named, {category.display_name}",
        wrong,
        asked=0,
        bound="at most",
        note=f"{asked:,} pairs on the pages of {len(category.clusters):,} clusters",
    )


def _accessible(grouped: Grouped) -> Figure:
    """Count the serious findings of axe on every page, light and dark, narrow and wide."""
    from axe_playwright_python.sync_playwright import Axe

    axe, found, pages = Axe(), list[str](), _pages(grouped.category)
    with _browser() as chromium, served(grouped.project) as address:
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                # axe is put into the page here; the page's own policy would refuse it.
                context = chromium.new_context(
                    base_url=address,
                    color_scheme=scheme,
                    viewport={"width": width, "height": 900},
                    bypass_csp=True,
                )
                page = context.new_page()
                page.set_default_timeout(MILLISECONDS)
                for path in [_draft(page), *pages]:
                    page.goto(path)
                    violations = axe.run(page).response["violations"]
                    found += [
                        f"{path} {scheme} {width}: {one['id']}"
                        for one in violations
                        if one["impact"] in GRAVE
                    ]
                context.close()
    return Figure(
        "serious findings of axe on every page, light and dark, 390 and 1280 pixels wide",
        len(found),
        asked=0,
        bound="at most",
        note="; ".join(found) or f"{len(pages) + 1} pages",
    )


def _draft(page: Any) -> str:
    """Drop a small workbook and return the path of the page of its columns."""
    page.goto("/")
    content = b"sku,title,image\n1,Kem,https://shop.example/1.jpg\n"
    file = {"name": "kem.csv", "mimeType": "text/csv", "buffer": content}
    page.set_input_files("#file", file)
    page.wait_for_url("**/new/*")
    return str(page.url)


def _pages(category: Category) -> list[str]:
    base, first = f"/c/{category.slug}", category.clusters[0].cluster_id
    below = (
        "review",
        f"review/{first}",
        "review?show=titles",
        "queue",
        "unmatched",
        "map",
        "prices",
        "search",
        "rejected",
        "corrections",
        "report",
        "pages/left-out",
        "pages/crops",
        "nowhere",
    )
    return ["/", "/you", "/api/docs", *(f"{base}/{name}" for name in below)]


def _map(options: Options) -> list[Figure]:
    """Plant a category and pan its map: all in view, and with the pictures themselves."""
    count = QUICKLY_MAPPED if options.quick else MAPPED
    project = Project(PipelineHome(options.scratch / "mapped").prepare())
    plant_category(project, count)
    with _browser() as chromium, served(project) as address:
        page = chromium.new_page(base_url=address, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(MILLISECONDS)
        started = time.perf_counter()
        page.goto(f"/c/{SLUG}/map")
        page.wait_for_selector("#legend span")
        seconds = time.perf_counter() - started
        whole = page.evaluate(PANNING, SECONDS_OF_PANNING)
        for _ in range(6):
            page.get_by_role("button", name="Zoom in").click()
        page.wait_for_load_state("networkidle")
        near = page.evaluate(PANNING, SECONDS_OF_PANNING)
    return [
        Figure(f"map of {count:,} pictures, all in view: frames a second", whole, "", ASKED_FRAMES),
        Figure("the same, zoomed in until the pictures show", near, "", ASKED_FRAMES),
        Figure("the map's first opening after a run", seconds, "s"),
    ]


@contextmanager
def _browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise SuiteUnavailableError("the package playwright is not installed") from error
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if path is None:
        raise SuiteUnavailableError("no Chromium is installed")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
