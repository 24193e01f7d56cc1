"""Draws the pictures of the Dagster UI in docs/: `python docs/drawing/dagster_ui.py`.

It fills a home of its own with two small drawn categories, starts the webserver on it, and
photographs it with Chromium.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import FloatRect, ViewportSize, sync_playwright

from clustering_pipeline.definitions import open_pipeline
from clustering_pipeline.synthetic import LoopbackShop, serve_folder, write_catalogue

DOCS = Path(__file__).resolve().parents[1]
CATEGORIES = {"Kem chống nắng": 1, "Nước hoa hồng": 2}
GROUPS = ("listings", "pictures", "features", "clusters", "results")
LINEAGE = "asset-groups~{}/?expanded={}".format(
    " or ".join(f'group:"{group}"' for group in GROUPS),
    ",".join(f"global@global:{group}" for group in GROUPS),
)
WIDE: ViewportSize = {"width": 1500, "height": 900}
TALL: ViewportSize = {"width": 1240, "height": 1400}
GRAPH: FloatRect = {"x": 240, "y": 240, "width": 700, "height": 940}
METHODS = ("dbscan", "components", "agglomerative", "graph")
SETTINGS = "download:\n  allow_hosts: ['{host}']\n  retries: 0\nmatches:\n  text: false\n{more}"
BACKFILL = """mutation ($keys: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $keys, assetSelection: $assets, title: "The week's catalogues"}) {
    __typename } }"""


def fill(home: Path, shop: LoopbackShop, folder: Path) -> list[str]:
    """Run every category a few times, each time with another grouping, and return their slugs."""
    from clustering_pipeline.orchestration.runtime.instance import open_instance
    from clustering_pipeline.orchestration.sync.synchronise import synchronise
    from clustering_pipeline.project import PipelineHome, Project

    project = Project(PipelineHome(home).prepare())
    slugs = []
    for name, seed in CATEGORIES.items():
        drawn = folder / str(seed)
        url = f"{shop.url}/{seed}/images"
        write_catalogue(
            drawn, url, products=4, sellers=4, listings_per_product=(2, 4), problems=(), seed=seed
        )
        slugs.append(project.sources.record(drawn / "catalogue.xlsx", name).category)
    for method in METHODS:
        more = f"clusters:\n  method: {method}\n"
        project.home.settings_file.write_text(SETTINGS.format(host=shop.host, more=more))
        with open_instance(project.home) as instance:
            for slug in slugs:
                synchronise(slug, pipeline=open_pipeline(project), instance=instance)
    return slugs


@contextmanager
def services(home: Path) -> Iterator[str]:
    """Start webserver and daemon on `home` and give the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tools, module = Path(sys.executable).parent, ["-m", "clustering_pipeline.definitions"]
    commands = (
        [str(tools / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), *module],
        [str(tools / "dagster-daemon"), "run", *module],
    )
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    running = [
        subprocess.Popen(
            command, env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def photograph(url: str, pages: dict[str, tuple[str, ...]]) -> None:
    """Take a picture of each page: file name to its path and the buttons to press on it."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        for name, (path, *buttons) in pages.items():
            is_lineage = path == LINEAGE
            page = browser.new_page(
                viewport=TALL if is_lineage else WIDE, device_scale_factor=1.75 if is_lineage else 1
            )
            page.goto(f"{url}/{path}", timeout=120_000)
            if path.startswith("assets/"):
                page.get_by_text("Row count", exact=True).wait_for(timeout=180_000)
            # On the graph the state of the assets comes last.
            page.wait_for_timeout(90_000 if is_lineage else 12_000)
            if is_lineage:
                page.get_by_label("panel_show_right").last.click()
                page.wait_for_timeout(2_000)
            for button in buttons:
                pressed = page.get_by_text(button, exact=True).last
                pressed.click()
                pressed.evaluate("element => element.scrollIntoView({block: 'start'})")
                page.wait_for_timeout(4_000)
            page.screenshot(
                path=DOCS / name, type="jpeg", quality=70, clip=GRAPH if is_lineage else None
            )
            page.close()
        browser.close()


def main() -> None:
    """Draw all pictures."""
    # Runs of the backfill may still write there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        home, folder = Path(scratch) / "home", Path(scratch) / "shop"
        folder.mkdir()
        with serve_folder(folder) as shop:
            slugs = fill(home, shop, folder)
        with services(home) as url:
            assets = [{"path": ["clusters"]}, {"path": ["labeled_excel"]}]
            body = json.dumps(
                {"query": BACKFILL, "variables": {"keys": slugs, "assets": assets}}
            ).encode()
            request = urllib.request.Request(
                f"{url}/graphql", body, {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request, timeout=60).close()
            photograph(
                url,
                {
                    "dagster-lineage.jpg": (LINEAGE,),
                    "dagster-asset.jpg": ("assets/clusters",),
                    "dagster-plots.jpg": ("assets/clusters", "Plots", "Events"),
                    "dagster-backfill.jpg": ("overview/backfills",),
                },
            )


if __name__ == "__main__":
    main()
