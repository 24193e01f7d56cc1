"""The commands of homes that share a PostgreSQL database, each home as a machine."""

from itertools import count
from pathlib import Path

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.project import sharing
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.cli.conftest import Call
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres
from clustering_pipeline_tests.project.test_sharing import PRODUCTS, home_on, register
from clustering_pipeline_tests.review.sayings import different, same, say, statements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]
NUMBERS = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("commands") / "server") as environment:
        yield environment


@pytest.fixture
def address(server) -> str:
    return empty_database(server, f"commands_{next(NUMBERS)}")


def test_what_a_home_had_is_moved_and_goes_on(home: Path, call: Call, tmp_path, address):
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
    second = home_on(tmp_path / "two", tmp_path / "root", address)
    assert register(second).number("serum", [PRODUCTS[1], frozenset({"d", "e"})])[0] == [2, 3]
    assert register(after).current("serum") == register(second).current("serum")


def test_doctor_and_status_say_which_database(home: Path, call: Call, tmp_path, address):
    home_on(home, tmp_path / "root", None)
    found = {row["name"]: row for row in call("--json", "doctor").json["findings"]}
    assert found["storage.database"]["found"].startswith("SQLite files in ")
    home_on(home, tmp_path / "root", address)
    shown = address.replace(":secret", "")
    answer = call("--json", "doctor")
    found = {row["name"]: row for row in answer.json["findings"]}
    assert found["storage.database"]["found"].startswith(shown)
    status = call("--json", "status")
    assert status.json["database"] == shown
    assert "secret" not in answer.output + status.output
    (home / "settings.yaml").write_text("storage:\n  database: postgresql://127.0.0.1:1/nowhere\n")
    found = {row["name"]: row for row in call("--json", "doctor").json["findings"]}
    assert found["storage.database"]["state"] == "problem"
