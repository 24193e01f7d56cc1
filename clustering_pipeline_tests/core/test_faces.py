import sys

import pytest

from clustering_pipeline.core.faces import imported_when_used


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from clustering_pipeline.core.faces import imported_when_used\n"
        "__getattr__ = imported_when_used(__name__, {'heavy': ['weigh'], 'light': ['lift']})\n"
    )
    (folder / "heavy.py").write_text("def weigh():\n    return 'kilograms'\n")
    (folder / "light.py").write_text("def lift():\n    return 'up'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "shelf"
    for name in [name for name in sys.modules if name.split(".")[0] == "shelf"]:
        del sys.modules[name]


def test_a_module_is_imported_when_one_of_its_names_is_first_used(package):
    import shelf

    assert "shelf.heavy" not in sys.modules
    assert shelf.weigh() == "kilograms"
    assert "shelf.heavy" in sys.modules
    assert "shelf.light" not in sys.modules


def test_names_and_modules_are_imported_from_the_package_as_from_any(package):
    from shelf import light, weigh

    assert (weigh(), light.lift()) == ("kilograms", "up")


def test_a_name_that_no_module_gives_is_refused():
    with pytest.raises(AttributeError, match="module 'shelf' has no attribute 'wiegh'"):
        imported_when_used("shelf", {"heavy": ["weigh"]})("wiegh")
