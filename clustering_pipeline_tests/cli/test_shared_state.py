"""The commands of homes that share a PostgreSQL database, each home as a machine."""

import json
from itertools import count
from pathlib import Path

import pytest
import yaml

from clustering_pipeline.cli.doctor import _examine_database as examine_database
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import keepsakes, sharing
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import SharedDatabase, layout
from clustering_pipeline.synthetic import write_catalogue
from clustering_pipeline_tests.cli.conftest import Call
from clustering_pipeline_tests.cli.shops import QUICK, open_shop, start_command
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres
from clustering_pipeline_tests.project.test_sharing import PRODUCTS, home_on, register
from clustering_pipeline_tests.review.sayings import different, same, say, statements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]
NUMBERS = count()
ROOT = Path(__file__).resolve().parents[2]
ANSWERED_BEFORE_THE_GATE = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("commands") / "server") as environment:
        yield environment


@pytest.fixture
def address(server) -> str:
    return empty_database(server, f"commands_{next(NUMBERS)}")


def test_what_a_home_had_is_moved_and_goes_on(
    home: Path, call: Call, tmp_path, address, monkeypatch
):
    before = home_on(home, tmp_path / "root", None)
    register(before).number("serum", PRODUCTS)
    say(before.corrections, different("a", "c"))
    before.corrections.undo(say(before.corrections, same("a", "b")), author="Lan")
    before.keepsakes.keep()
    refused = call("storage", "move-state")
    assert refused.code == 2 and "storage.database is not set" in refused.error
    after = home_on(home, tmp_path / "root", address)
    with pytest.raises(InputError, match="move-state"):
        after.claim_storage()
    answer = call("--json", "storage", "move-state")
    assert answer.code == 0, answer.errors
    assert answer.json["rows"]["states"] == 2 and answer.json["rows"]["corrections"] == 3
    assert "secret" not in answer.output + answer.errors
    assert not (after.home.state / layout.CLUSTER_NUMBERS).exists()
    assert (after.home.state / sharing.MOVED / layout.CLUSTER_NUMBERS).exists()
    assert statements(after.corrections) == [different("a", "c")]
    assert say(after.corrections, same("c", "d")) == 4
    # Another command is another process, which has claimed nothing yet.
    monkeypatch.setattr(keepsakes, "_claimed", set())
    again = call("storage", "move-state")
    assert again.code == 2 and "belongs to the homes that share" in again.error
    second = home_on(tmp_path / "two", tmp_path / "root", address)
    assert register(second).number("serum", [PRODUCTS[1], frozenset({"d", "e"})])[0] == [2, 3]
    assert register(after).current("serum") == register(second).current("serum")


def test_doctor_says_which_database(tmp_path, address):
    place = home_on(tmp_path / "home", tmp_path / "root", None)
    assert examine_database(place.home).found.startswith("SQLite files in ")
    place = home_on(tmp_path / "home", tmp_path / "root", address)
    finding = examine_database(place.home)
    assert finding.found.startswith(address.replace(":secret", ""))
    nowhere = "postgresql://lan:secret@127.0.0.1:1/nowhere"
    problem = examine_database(home_on(tmp_path / "home", tmp_path / "root", nowhere).home)
    assert problem.state == "problem" and "127.0.0.1:1/nowhere" in problem.remedy
    assert "secret" not in str(finding) + str(problem)


def test_two_machines_take_turns_on_a_category_and_give_the_same_numbers(tmp_path, address):
    (tmp_path / "shop" / "images").mkdir(parents=True)
    homes = [
        home_on(tmp_path / name, tmp_path / "root", address, "  wait_seconds: 2\n").home.path
        for name in ("one", "two")
    ]
    with open_shop(tmp_path / "shop" / "images", ANSWERED_BEFORE_THE_GATE) as shop:
        catalogue = write_catalogue(
            tmp_path / "shop", shop.url, products=2, listings_per_product=(3, 3), problems=()
        )
        arguments = ["run", catalogue.workbook, "--allow-host", shop.host, *QUICK, "--json"]
        first = start_command(homes[0], arguments, tmp_path)
        assert shop.is_waiting.wait(240)
        elsewhere = tmp_path / "elsewhere.xlsx"
        refused = start_command(homes[1], [*arguments, "--output", elsewhere], tmp_path)
        _, said = refused.communicate(timeout=240)
        assert refused.returncode == 3
        assert f"Process {first.pid} of the machine " in " ".join(said.split())
        shop.gate.set()
        results = [first.communicate(timeout=240)[0]]
        asked = sum(shop.requests.values())
        second = start_command(homes[1], arguments, tmp_path)
        results.append(second.communicate(timeout=240)[0])
        assert [first.returncode, second.returncode] == [0, 0]
        assert sum(shop.requests.values()) == asked
        # What was refused has changed nothing of what the other runs from.
        assert not elsewhere.exists()
        clusters = [json.loads(result)["clusters"] for result in results]
        assert clusters[0] == clusters[1]
        again = start_command(homes[0], ["sync", "--json"], tmp_path)
        assert json.loads(again.communicate(timeout=240)[0]) and again.returncode == 0
        status = start_command(homes[0], ["status", "--json"], tmp_path)
        shown = status.communicate(timeout=240)[0]
    assert json.loads(shown)["database"] == address.replace(":secret", "")
    states = {asset["status"] for asset in json.loads(shown)["categories"][0]["assets"].values()}
    assert states == {"fresh"}
    numbers = NumberRegister(SharedDatabase(address)).states("catalogue")
    assert numbers
    assert len({number for number, _ in numbers}) == len(numbers)


def test_machines_that_share_dagster_too_know_what_the_other_made(
    tmp_path, address, server, monkeypatch
):
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_POSTGRES_DB", address.rpartition("/")[2])
    homes = []
    for name in ("one", "two"):
        homes.append(home_on(tmp_path / name, tmp_path / "root", address).home.path)
        write_instance(homes[-1])
    (tmp_path / "shop" / "images").mkdir(parents=True)
    with open_shop(tmp_path / "shop" / "images") as shop:
        catalogue = write_catalogue(
            tmp_path / "shop", shop.url, products=2, listings_per_product=(3, 3), problems=()
        )
        arguments = ["run", catalogue.workbook, "--allow-host", shop.host, *QUICK, "--json"]
        first = start_command(homes[0], arguments, tmp_path)
        assert json.loads(first.communicate(timeout=240)[0])["clusters"] == 2
        second = start_command(homes[1], arguments, tmp_path)
        said, told = second.communicate(timeout=240)
    assert second.returncode == 0, told
    assert json.loads(said)["clusters"] == 2
    assert json.loads(said)["steps"] == []


def write_instance(home: Path) -> None:
    """Give a home the Dagster of docker/, on the server of this test."""
    instance = yaml.safe_load((ROOT / "docker" / "dagster.yaml").read_text())
    instance["storage"]["postgres"]["postgres_db"]["port"] = {"env": "DAGSTER_POSTGRES_PORT"}
    instance["compute_logs"]["config"]["base_dir"] = str(home / "logs")
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance))
