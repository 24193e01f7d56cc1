"""A home with one tiny category whose pictures a loopback server gives."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import openpyxl
import pytest

from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import LoopbackShop, serve_folder, write_catalogue

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

    project: Project
    instance: dg.DagsterInstance
    shop: SmallShop

    @property
    def workbook(self) -> Path:
        return self.project.home.path / "serum.xlsx"

    def keep_rows(self, rows: slice) -> None:
        """Write the first sheet of the shop's catalogue with some of its rows, and record it as the
        category serum.
        """
        book = openpyxl.load_workbook(self.shop.workbook)
        kept = list(book.worksheets[0].values)
        small = openpyxl.Workbook()
        for row in [kept[0], *kept[1:][rows]]:
            small.active.append(row)
        small.save(self.workbook)
        self.project.sources.record(self.workbook, "Serum")

    def settings(self, text: str = "") -> None:
        """Write the settings file."""
        self.project.home.settings_file.write_text(
            SETTINGS.format(host=self.shop.server.host) + text
        )


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory) -> Iterator[SmallShop]:
    folder = tmp_path_factory.mktemp("shop")
    with serve_folder(folder) as server:
        write_catalogue(
            folder,
            f"{server.url}/images",
            products=2,
            sellers=3,
            listings_per_product=(3, 3),
            problems=(),
        )
        yield SmallShop(folder, server)


@pytest.fixture
def installation(tmp_path, small_shop, monkeypatch) -> Iterator[Installation]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    project = Project(PipelineHome.find().prepare())
    with open_instance(project.home) as instance:
        prepared = Installation(project, instance, small_shop)
        prepared.settings()
        yield prepared


class Daemon:
    """Evaluates the sensors and schedules of a home, as the daemon would."""

    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self.project, self.instance = project, instance
        self.repository = build_definitions(project).get_repository_def()

    def look(self, sensor: str, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(
            self.instance,
            cursor=cursor,
            repository_def=self.repository,
            resources={"project": self.project},
        )
        return self.repository.get_sensor_def(sensor)(context)

    def tick(self, moment: datetime) -> list[dg.RunRequest | dg.SkipReason]:
        context = dg.build_schedule_context(
            self.instance,
            moment,
            repository_def=self.repository,
            resources={"project": self.project},
        )
        return list(self.repository.get_schedule_def("weekly_refresh")(context))


@pytest.fixture
def daemon(tmp_path):
    project = Project(PipelineHome(tmp_path / "home").prepare())
    project.home.catalogues.mkdir()
    workbook = tmp_path / "serum.xlsx"
    write_catalogue(
        tmp_path,
        "http://127.0.0.1:1",
        products=1,
        sellers=1,
        listings_per_product=(1, 1),
        problems=(),
    )
    shutil.copy(tmp_path / "catalogue.xlsx", workbook)
    project.sources.record(workbook)
    with dg.DagsterInstance.ephemeral() as instance:
        add_category(instance, "serum")
        yield Daemon(project, instance)
