"""The loopback hub in the place of the real one."""

from dataclasses import replace

import pytest

from clustering_pipeline.models import MODEL_CARDS
from clustering_pipeline_tests.models.hub import Hub, Repository, serving


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A running, empty hub that the client library talks to instead, with an empty cache and
    nobody logged in.
    """
    constants = pytest.importorskip("huggingface_hub.constants")
    with serving(Hub()) as running:
        address = running.address
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield running


@pytest.fixture
def put(hub, monkeypatch):
    """Puts what a card asks for on the hub: its repository, or its single file at another
    address.
    """

    def put(name: str, content: Repository | bytes) -> None:
        card = MODEL_CARDS[name]
        if isinstance(content, Repository):
            hub.repositories[card.source] = content
            return
        import hashlib

        file = card.source.rpartition("/")[2]
        hub.repositories.setdefault("files", Repository({})).files[file] = content
        digest = hashlib.sha256(content).hexdigest() if card.sha256_prefix else ""
        moved = replace(card, source=f"{hub.address}/files/{file}", sha256_prefix=digest[:8])
        monkeypatch.setitem(MODEL_CARDS, name, moved)

    return put
