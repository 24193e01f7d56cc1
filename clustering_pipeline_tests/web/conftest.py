import shutil

import pytest
from fastapi.testclient import TestClient

from benchmarks.pages import listening, served
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.web import ServeOptions, category_cache, create_app
from clustering_pipeline_tests.web import home

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory):
    """A finished category; tests that write work on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    home.make_home(folder)
    return folder


@pytest.fixture(scope="session")
def shared_app(finished_home):
    return create_app(Project(PipelineHome(finished_home)), ServeOptions(author="lan"))


@pytest.fixture
def reader(shared_app):
    """A client of a server that the test does not write to."""
    with TestClient(shared_app, base_url=ADDRESS) as client:
        yield client


@pytest.fixture
def project(finished_home, tmp_path):
    folder = tmp_path / "home"
    shutil.copytree(finished_home, folder)
    return Project(PipelineHome(folder))


@pytest.fixture
def client(project, monkeypatch):
    """A client of a server of its own, which looks for new results at every request."""
    monkeypatch.setattr(category_cache, "SECONDS_BETWEEN_LOOKS", 0.0)
    with TestClient(create_app(project, ServeOptions(author="lan")), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="session")
def shared_address(shared_app):
    """The address of a real server that the tests do not write to."""
    with listening(shared_app) as address:
        yield address


@pytest.fixture
def address(project, monkeypatch):
    """The address of a real server over a home of its own, which looks for new results at every
    request.
    """
    monkeypatch.setattr(category_cache, "SECONDS_BETWEEN_LOOKS", 0.0)
    with served(project, "lan") as address:
        yield address
