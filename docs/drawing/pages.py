"""Draws the pictures of the review and search pages in docs/.

Usage: clustering-pipeline demo --folder /tmp/demo && python docs/drawing/pages.py /tmp/demo
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.pages import served
from clustering_pipeline.project import PipelineHome, Project

DOCS = Path(__file__).resolve().parents[1]
SIZE = {"width": 1180, "height": 860}


def main(home: Path) -> None:
    """Take a picture of the columns of a workbook, of a cluster under review, of a question about a
    pair, of the map, and of a search.
    """
    project = Project(PipelineHome(home))
    slug = project.manifests.categories("clusters")[0]
    with served(project, "lan") as address, sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, base_url=address)
        draw_columns(page, slug, project)
        draw_review(page, slug)
        draw_map(page, slug)
        page.goto(f"/c/{slug}/queue")
        page.wait_for_selector("#question h2")
        save(page, "questions.jpg")
        draw_search(page, slug, project)
        browser.close()


def draw_columns(page: Page, slug: str, project: Project) -> None:
    """Drop the workbook of the category again."""
    source = project.sources.load(slug)
    content = project.blobs.get(source.sha256)
    page.goto("/")
    page.set_input_files("#file", {"name": source.name, "mimeType": "", "buffer": content})
    page.wait_for_url("**/new/*")
    page.wait_for_selector("#choosing")
    save(page, "columns.jpg")


def draw_map(page: Page, slug: str) -> None:
    """Show the map, what a stricter judgement would part off first selected."""
    page.goto(f"/c/{slug}/map")
    page.wait_for_selector("#legend span")
    page.locator("#strictness").fill("-100")
    page.locator("#changes button").first.click()
    page.locator("#strictness").fill("0")
    page.get_by_role("button", name="Show everything").click()
    page.locator("#tip").evaluate("tip => tip.hidden = true")
    page.wait_for_timeout(1500)
    save(page, "map.jpg")


def draw_review(page: Page, slug: str) -> None:
    """Show the first cluster of the list that has a pair to judge."""
    page.goto(f"/c/{slug}/review")
    links = [link.get_attribute("href") for link in page.locator(".tilelink a").all()]
    for link in links:
        page.goto(str(link))
        if page.locator("#weakest").count() and page.locator(".suggestions").count():
            break
    save(page, "review.jpg")


def draw_search(page: Page, slug: str, project: Project) -> None:
    """Search with the picture of a listing that is in a cluster."""
    clusters = project.manifests.read("clusters", slug)
    images = project.manifests.read("raw_images", slug)
    assert clusters is not None
    assert images is not None
    largest = clusters.sort_values(["cluster_size", "listing"], ascending=[False, True])[
        "listing"
    ].iloc[0]
    digest = images.loc[images["listing"] == largest, "image_sha256"].iloc[0]
    page.goto(f"/c/{slug}/search")
    page.set_input_files(
        "#picture",
        {"name": "query", "mimeType": "image/jpeg", "buffer": project.blobs.get(str(digest))},
    )
    page.wait_for_selector(".hits li")
    # The first search of a server loads what all later ones find in memory.
    page.reload()
    save(page, "search.jpg")


def save(page: Page, name: str) -> None:
    """Write what the page shows, once its pictures are there."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=DOCS / name, type="jpeg", quality=82)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
