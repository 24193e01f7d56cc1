"""A reviewer's hands in a browser: every click and every key counts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MILLISECONDS_OF_A_RUN = 900_000


@dataclass
class Hands:
    """Clicks and keys on a page of Playwright, counted; waiting is no act.

    `acts`: what was done, in words.
    """

    page: Any
    acts: list[str] = field(default_factory=list)

    def click(self, target: Any, what: str) -> None:
        """Click what a locator finds."""
        self.acts.append(f"click {what}")
        target.click()

    def press(self, key: str) -> None:
        """Press one key."""
        self.acts.append(f"key {key}")
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Type a text, a key a letter."""
        for letter in text:
            self.press(letter)


@dataclass(frozen=True)
class Repair:
    """What a reviewer mends: the listings of another product in a cluster, and what both are
    called.

    `alien`: ids of listings that do not belong to the cluster; `names`: of what stays, and of what
    is split off.
    """

    cluster: int
    alien: frozenset[str]
    names: tuple[str, str] = ("A1", "B2")


def repair(hands: Hands, category: str, wrong: Repair, folder: Path) -> Path:
    """Find the wrong merge from the start page on, split it, name both parts, merge two clusters,
    undo that, apply, download; returns the downloaded workbook.
    """
    page = hands.page
    page.goto("/")
    card = page.locator(".categories li", has=page.get_by_role("link", name=category, exact=True))
    hands.click(card.get_by_role("link", name="Review", exact=True), "Review")
    _find(hands, wrong.cluster)
    _split(hands, wrong)
    _apply(hands)
    _name_both(hands, wrong.names)
    hands.click(page.locator(".changes .led a").first, "the cluster that was split off")
    _merge_with_another(hands)
    hands.press("u")
    page.wait_for_url(lambda url: "done" not in url)
    _apply(hands)
    with page.expect_download() as download:
        hands.press("d")
    target = folder / "labelled.xlsx"
    download.value.save_as(target)
    return target


def _find(hands: Hands, cluster: int) -> None:
    """Look through the pages of clusters until the wrong one is seen, and open it."""
    page = hands.page
    tile = page.locator(f".tilelink a[href$='/review/{cluster}']")
    page.wait_for_selector(".gallery")
    while not tile.count():
        before = page.url
        hands.click(page.locator(".pager [rel=next]"), "the next page")
        page.wait_for_url(lambda url, before=before: url != before)
    hands.click(tile, "the wrong merge")
    page.wait_for_selector(".members")


def _split(hands: Hands, wrong: Repair) -> None:
    for tile in hands.page.locator(".grid li").all():
        text = tile.inner_text()
        if any(identifier in text for identifier in wrong.alien):
            digit = tile.locator("[data-digit]")
            if digit.count():
                hands.press(digit.get_attribute("data-digit"))
            else:
                hands.click(tile.locator("label"), "a picture")
    hands.press("s")
    hands.page.get_by_role("status").wait_for()


def _apply(hands: Hands) -> None:
    hands.press("a")
    hands.page.wait_for_url("**/runs/*")
    hands.page.wait_for_selector(".outcome", timeout=MILLISECONDS_OF_A_RUN)


def _name_both(hands: Hands, names: tuple[str, str]) -> None:
    """Name the part that was split off, whose field has the focus, and what stayed."""
    staying, parted = names
    hands.page.wait_for_selector("[data-focus]:focus")
    hands.type(parted)
    hands.press("Tab")
    hands.press("Tab")
    hands.type(staying)
    hands.press("Enter")
    hands.page.get_by_role("status").wait_for()


def _merge_with_another(hands: Hands) -> None:
    """Merge with the first suggestion, or with a cluster by its number where there is none."""
    page = hands.page
    if page.locator("[data-key='m']").count():
        hands.press("m")
    else:
        page_number = page.url.partition("?")[0].rpartition("/")[2]
        numbers = page.locator("#names option").evaluate_all(
            "options => options.map((option) => option.value.match(/\\((\\d+)\\)$/)[1])"
        )
        other = min((one for one in numbers if one != page_number), key=len)
        hands.click(page.locator(".merging [name=target]"), "the field of the other cluster")
        hands.type(other)
        hands.press("Enter")
    page.get_by_role("status").wait_for()
