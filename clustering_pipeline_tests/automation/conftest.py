"""A home with one tiny category whose pictures a loopback server gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import openpyxl
import pytest

from clustering_pipeline.automation import open_instance
from clustering_pipeline.synthetic import LoopbackShop, serve_folder, write_catalogue
from clustering_pipeline.workplace import PipelineHome, Workplace

SETTINGS = """\
download:
  allow_hosts: ["{host}"]
  retries: 0
matches:
  text: false
compute:
  workers: 1
"""


@dataclass(frozen=True)
class SmallShop:
    """A drawn catalogue of a few listings, and the server of its pictures."""

    folder: Path
    server: LoopbackShop

    @property
    def workbook(self) -> Path:
        return self.folder / "catalogue.xlsx"


@dataclass(frozen=True)
class Installation:
    """A Dagster home with its instance, and a shop to fill it from."""

    workplace: Workplace
    instance: dg.DagsterInstance
    shop: SmallShop

    @property
    def workbook(self) -> Path:
        return self.workplace.home.path / "serum.xlsx"

    def keep_rows(self, rows: slice) -> None:
        """Write the first sheet of the shop's catalogue with some of its rows, and record it as the category serum."""
        book = openpyxl.load_workbook(self.shop.workbook)
        kept = list(book.worksheets[0].values)
        small = openpyxl.Workbook()
        for row in [kept[0], *kept[1:][rows]]:
            small.active.append(row)
        small.save(self.workbook)
        self.workplace.sources.record(self.workbook, "Serum")

    def settings(self, text: str = "") -> None:
        """Write the settings file."""
        self.workplace.home.settings_file.write_text(SETTINGS.format(host=self.shop.server.host) + text)


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory) -> Iterator[SmallShop]:
    folder = tmp_path_factory.mktemp("shop")
    with serve_folder(folder) as server:
        write_catalogue(folder, f"{server.url}/images", products=2, sellers=3, listings_per_product=(3, 3), problems=())
        yield SmallShop(folder, server)


@pytest.fixture
def installation(tmp_path, small_shop, monkeypatch) -> Iterator[Installation]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    workplace = Workplace(PipelineHome.find().prepare())
    with open_instance(workplace.home) as instance:
        prepared = Installation(workplace, instance, small_shop)
        prepared.settings()
        yield prepared
