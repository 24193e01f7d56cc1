"""Two homes, as two machines, on one storage and one PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.project import PipelineHome, Project, sharing
from clustering_pipeline.project.sharing import move_state
from clustering_pipeline.settings import RunOverrides
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.docker.processes import POSTGRES, empty_database, postgres
from clustering_pipeline_tests.review.sayings import different, same, say, statements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]
NUMBERS = count()
PRODUCTS = [frozenset({"a", "b"}), frozenset({"c"})]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("sharing") / "server") as environment:
        yield environment


@pytest.fixture
def address(server) -> str:
    return empty_database(server, f"sharing_{next(NUMBERS)}")


def home_on(folder: Path, root: Path, address: str | None, further: str = "") -> Project:
    project = Project(PipelineHome(folder).prepare())
    database = f"  database: {address}\n" if address else ""
    project.home.settings_file.write_text(f"storage:\n  root: {root}\n{database}{further}")
    return project


@pytest.fixture
def machines(tmp_path, address) -> tuple[Project, Project]:
    return tuple(home_on(tmp_path / name, tmp_path / "root", address) for name in ("one", "two"))


def register(project: Project) -> NumberRegister:
    project.claim_storage()
    project.keepsakes.check(layout.CLUSTER_NUMBERS)
    return NumberRegister(project.place(layout.CLUSTER_NUMBERS))


def test_homes_that_share_a_database_share_a_storage(machines):
    one, two = machines
    assert register(one).number("serum", PRODUCTS)[0] == [1, 2]
    assert register(two).number("serum", [*PRODUCTS, frozenset({"d"})])[0] == [1, 2, 3]
    say(one.corrections, same("a", "b"))
    say(two.corrections, different("a", "c"))
    assert statements(one.corrections) == statements(two.corrections)
    assert len(statements(one.corrections)) == 2
    assert two.context("serum", None).database == two.database


def test_a_home_without_the_database_is_refused_in_words(machines, tmp_path):
    machines[0].claim_storage()
    with pytest.raises(InputError, match="belongs to the homes that share the database postgresql"):
        home_on(tmp_path / "three", tmp_path / "root", None).claim_storage()


def test_a_home_with_another_database_is_refused_in_words(machines, tmp_path, server):
    machines[0].claim_storage()
    other = empty_database(server, f"sharing_{next(NUMBERS)}")
    with pytest.raises(InputError, match="has another one, postgresql") as caught:
        home_on(tmp_path / "three", tmp_path / "root", other).claim_storage()
    assert "secret" not in str(caught.value)


def test_a_storage_of_one_home_is_not_shared_before_its_numbers_are_there(tmp_path, address):
    alone = home_on(tmp_path / "one", tmp_path / "root", None)
    register(alone).number("serum", PRODUCTS)
    alone.keepsakes.keep()
    second = home_on(tmp_path / "two", tmp_path / "root", address)
    with pytest.raises(InputError, match=r"belongs to the home .*one alone.*move-state"):
        second.claim_storage()
    first = home_on(tmp_path / "one", tmp_path / "root", address)
    with pytest.raises(InputError, match=r"still has cluster_numbers\.sqlite .*move-state"):
        first.claim_storage()
    with pytest.raises(InputError, match="move-state"):
        first.place(layout.CLUSTER_NUMBERS)


def test_a_second_home_s_numbers_are_not_mixed_in(tmp_path, address):
    for name in ("one", "two"):
        place = home_on(tmp_path / name, tmp_path / f"root of {name}", None)
        register(place).number("serum", PRODUCTS)
    database = home_on(tmp_path / "new", tmp_path / "root", address).database
    move_state(tmp_path / "one" / layout.STATE, database)
    with pytest.raises(InputError, match="already holds states"):
        move_state(tmp_path / "two" / layout.STATE, database)
    assert (tmp_path / "two" / layout.STATE / layout.CLUSTER_NUMBERS).exists()


def test_an_older_state_of_the_database_is_refused_in_words(machines, tmp_path, monkeypatch):
    one, two = machines
    register(one).number("serum", PRODUCTS)
    one.keepsakes.keep()
    mark = tmp_path / "root" / layout.COPIES / layout.DATABASE_MARK
    mark.write_text(mark.read_text().replace('"results": 1', '"results": 7'))
    monkeypatch.setattr(sharing, "_remembered", {})
    with pytest.raises(StageError, match=r"it is older: results end at 1, and there were 7"):
        two.context("serum", None)


def test_a_run_may_not_have_another_database_than_its_home(machines):
    overrides = RunOverrides.read(["storage.database=postgresql://elsewhere/x"])
    with pytest.raises(InputError, match="holds for the whole home"):
        Project(machines[0].home, overrides).claim_storage()


@contextmanager
def another_machine(project: Project, turn: str) -> Iterator[int]:
    """Have a process on the home of `project` take a turn, such as `pruning()`, until the block
    ends; gives its number.
    """
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from clustering_pipeline.project import PipelineHome\n"
        f"with PipelineHome(Path(sys.argv[1])).{turn} as is_mine:\n"
        "    print(is_mine, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(project.home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "True\n"
        yield process.pid
        process.communicate("\n")


def test_a_category_is_worked_on_by_one_machine_at_a_time(tmp_path, address):
    one, two = (
        home_on(tmp_path / name, tmp_path / "root", address, "  wait_seconds: 0.5\n")
        for name in ("one", "two")
    )
    with another_machine(one, "working_on('serum')") as process:
        with two.home.working_on("serum") as is_mine, two.home.working_on("toner") as is_other:
            assert not is_mine and is_other
        assert f"process {process} " in two.home.worker_on("serum")
        with two.home.pruning() as is_alone:
            assert is_alone
    with two.home.working_on("serum", seconds=0) as is_mine:
        assert is_mine


def test_a_storage_is_pruned_by_nobody_while_another_machine_uses_it(tmp_path, address):
    one, two = (
        home_on(tmp_path / name, tmp_path / "root", address, "  wait_seconds: 0.5\n")
        for name in ("one", "two")
    )
    with another_machine(one, "pruning()") as process:
        with two.home.pruning() as is_alone:
            assert not is_alone
        with (
            pytest.raises(StageError, match=f"is being pruned by process {process} "),
            two.home.using_storage(),
        ):
            raise AssertionError
    with two.home.using_storage():
        pass
