"""The pages in a real browser: clicks, keys, a phone, and an accessibility check."""

import shutil
from pathlib import Path

import pytest

from clustering_pipeline_tests.web import home

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the package playwright is not installed"
)
CHROMIUM = next(
    (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path),
    None,
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"
)
BASE = f"/c/{home.SLUG}"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """A page whose every script error fails the test."""
    context = browser.new_context(base_url=address, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    yield page
    context.close()
    assert problems == []


def query_file(tmp_path, product, seller, seed):
    path = tmp_path / "query.jpg"
    path.write_bytes(home.picture(product, seller, seed))
    return path


def members(project, listing):
    clusters = project.manifests.read("clusters", home.SLUG).set_index("listing")["cluster_id"]
    return set(clusters[clusters == clusters[listing]].index)


def test_an_uploaded_picture_leads_to_boxes_and_results(page, tmp_path):
    page.goto(f"{BASE}/search")
    page.set_input_files("#picture", query_file(tmp_path, 4, 0, 7))
    page.wait_for_selector(".hits li")
    assert page.locator("rect.region").count() >= 1
    assert page.locator(".hits li.verified").count() >= 1
    page.get_by_role("link", name="Nearest cluster").click()
    page.wait_for_url("**mode=cluster**")
    page.locator(".hits li").first.wait_for()


def test_a_pasted_picture_is_searched(page, tmp_path):
    page.goto(f"{BASE}/search")
    content = list(query_file(tmp_path, 0, 1, 3).read_bytes())
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "pasted.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        content,
    )
    page.wait_for_selector(".hits li")


def test_two_clusters_are_merged_and_the_next_run_honours_it(page, project):
    first, second = members(project, 0), members(project, 19)
    assert not first & second
    clusters = project.manifests.read("clusters", home.SLUG).set_index("listing")["cluster_id"]
    page.goto(f"{BASE}/review/{clusters[0]}")
    page.get_by_role("combobox", name="Merge with cluster").fill(str(clusters[19]))
    page.locator(".merging button").click()
    page.get_by_role("status").wait_for()
    home.group_again(project)
    assert members(project, 0) == first | second


def test_a_cluster_is_split_by_keyboard_alone_and_undone(page, project):
    clusters = project.manifests.read("clusters", home.SLUG).set_index("listing")["cluster_id"]
    page.goto(f"{BASE}/review/{clusters[16]}")
    page.keyboard.press("1")
    assert page.locator("[data-digit='1']").is_checked()
    page.keyboard.press("s")
    page.get_by_role("status").wait_for()
    page.keyboard.press("u")
    page.wait_for_url(lambda url: "done" not in url)
    page.goto(f"{BASE}/corrections")
    assert page.locator("tr.withdrawn").count() >= 1


def checked(page):
    return page.locator("#members input").evaluate_all("boxes => boxes.map(box => box.checked)")


def test_ranges_and_boxes_select_pictures(page, project):
    clusters = project.manifests.read("clusters", home.SLUG).set_index("listing")["cluster_id"]
    page.goto(f"{BASE}/review/{clusters[0]}")
    pictures = page.locator("#members .pick")
    count = pictures.count()
    assert count > 3
    pictures.nth(0).click()
    pictures.nth(2).click(modifiers=["Shift"])
    assert checked(page) == [True] * 3 + [False] * (count - 3)
    pictures.nth(2).click()
    pictures.nth(0).click(modifiers=["Shift"])
    assert not any(checked(page))
    # From the last picture to the one before it.
    first, second = (pictures.nth(count - back).bounding_box() for back in (1, 2))
    page.mouse.move(first["x"] + first["width"] / 2, first["y"] + 60)
    page.mouse.down()
    page.mouse.move(second["x"] + second["width"] / 2, second["y"] + 70, steps=4)
    page.mouse.up()
    assert checked(page) == [False] * (count - 2) + [True] * 2
    pictures.nth(0).click()
    assert checked(page)[0]


def test_keys_walk_through_the_clusters(page):
    page.goto(f"{BASE}/review")
    page.locator(".tilelink a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/*")
    start = page.url
    page.keyboard.press("l")
    page.wait_for_url(lambda url: url != start)
    page.keyboard.press("k")
    page.wait_for_url(lambda url: url == start)
    assert page.get_by_text("Looked at", exact=False).count() >= 1
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()


def asked(page):
    """The two listings of the question on the page."""
    return [page.locator(f"#question [name={side}]").input_value() for side in "ab"]


def test_questions_are_answered_by_keyboard_without_loading_the_page_again(page, project):
    page.goto(f"{BASE}/queue")
    page.wait_for_selector("#standing p")
    page.evaluate("window.stays = true")
    shown = [asked(page)]
    for key in "yns":
        with page.expect_response(f"**{BASE}/queue"):
            page.keyboard.press(key)
        page.wait_for_function(
            "before => [...'ab'].map(side => document.querySelector(`#question [name=${side}]`)"
            ".value).join() !== before",
            arg=",".join(shown[-1]),
        )
        shown.append(asked(page))
    said = project.corrections.in_force(home.SLUG)
    assert [one.statement.kind for one in said] == ["same", "different", "unsure"]
    with page.expect_response("**/queue/undo"):
        page.keyboard.press("u")
    page.wait_for_function(
        "before => [...'ab'].map(side => document.querySelector(`#question [name=${side}]`)"
        ".value).join() === before",
        arg=",".join(shown[2]),
    )
    assert len(project.corrections.in_force(home.SLUG)) == 2
    assert page.evaluate("window.stays")


def test_what_a_line_is_drawn_around_on_the_map_is_split_off_and_undone(page, project):
    page.goto(f"{BASE}/map")
    page.wait_for_selector("#legend span")
    page.get_by_role("button", name="Draw a line around pictures").click()
    box = page.locator("#sheet").bounding_box()
    corners = [(0.02, 0.02), (0.6, 0.02), (0.6, 0.98), (0.02, 0.98)]
    for number, (across, down) in enumerate(corners):
        place = box["x"] + box["width"] * across, box["y"] + box["height"] * down
        page.mouse.move(*place, steps=3)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    tiles = page.locator("#grid li")
    chosen = tiles.count()
    assert 0 < chosen < home.PRODUCTS * home.SELLERS
    tiles.first.locator("input").uncheck(force=True)
    assert page.locator("#count").inner_text() == f"{chosen - 1} selected"
    page.locator("#sheet").focus()
    page.keyboard.press("y")
    page.locator("#map-done").wait_for()
    said = project.corrections.in_force(home.SLUG)
    assert {one.statement.kind for one in said} == {"same"}
    with page.expect_response("**/queue/undo"):
        page.keyboard.press("u")
    tiles.first.wait_for()
    assert project.corrections.in_force(home.SLUG) == []
    assert tiles.count() == chosen - 1


def test_a_stricter_judgement_shows_what_would_part(page, project):
    page.goto(f"{BASE}/map")
    page.wait_for_selector("#legend span")
    page.locator("#strictness").fill("-100")
    parted = page.locator("#changes li")
    numbers = project.manifests.read("clusters", home.SLUG)["cluster_id"]
    assert parted.count() == (numbers[numbers >= 0].value_counts() > 1).sum()
    parted.first.get_by_role("button").click()
    assert page.locator("#grid li").count() >= 1
    assert project.corrections.in_force(home.SLUG) == []


PAGES = (
    "/",
    f"{BASE}/review",
    f"{BASE}/review?show=prices",
    f"{BASE}/review/1",
    f"{BASE}/queue",
    f"{BASE}/unmatched",
    f"{BASE}/map",
    f"{BASE}/search",
    f"{BASE}/prices",
    f"{BASE}/rejected",
    f"{BASE}/corrections",
    f"{BASE}/words?q=kem",
    f"{BASE}/remove",
    "/you",
    "/api/docs",
)


def test_on_a_phone_nothing_is_cut_off(browser, address):
    context = browser.new_context(base_url=address, viewport={"width": 360, "height": 740})
    page = context.new_page()
    for path in (*PAGES, f"{BASE}/report"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(browser, address, tmp_path, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    # axe is put into the page by the test; the page's own policy would refuse it.
    context = browser.new_context(base_url=address, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{BASE}/search")
    page.set_input_files("#picture", query_file(tmp_path, 4, 0, 7))
    page.wait_for_selector(".hits li")
    results = page.url.replace(address, "")
    page.goto(f"{BASE}/corrections")
    said = (
        b'[{"kind": "same", "id_a": "P1", "id_b": "P2"}, {"kind": "name", "cluster_id": 1, '
        b'"name": "Serum"}]'
    )
    page.set_input_files(
        "input[type=file]", {"name": "said.json", "mimeType": "application/json", "buffer": said}
    )
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Record all").wait_for()
    proposal = page.url.replace(address, "")
    for path in (*PAGES, results, proposal, f"{BASE}/nowhere"):
        page.goto(path)
        found = axe.run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_accessible(browser, finished_home, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto((Path(finished_home) / "storage" / "outputs" / home.SLUG / "report.html").as_uri())
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
