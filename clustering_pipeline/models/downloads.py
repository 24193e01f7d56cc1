"""Fetches the files of a model into the models folder; the only place of the project that talks to
a hub.
"""

import shutil
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.progress import Progress
from clustering_pipeline.models.cards import MODEL_CARDS, ModelCard, find_card
from clustering_pipeline.models.files import file_digest

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
PIECE_BYTES = 1 << 20


def pull_model(name: str, models_folder: Path, progress: Progress) -> Path:
    """Fetch the model `name` (a card's name, or a repository `owner/name`) and return its folder; a
    broken-off pull resumes.

    Raises InputError for an unknown name, StageError when there is no network, no room on the disk,
    or another file than expected.
    """
    card = _card_of(name)
    folder = models_folder / card.folder_name
    _check_room(models_folder, card)
    if card.is_single_file:
        _pull_file(card, folder, progress)
    else:
        _pull_repository(card, folder)
    return folder


def _card_of(name: str) -> ModelCard:
    card = find_card(name)
    if card:
        return card
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        return ModelCard(name, name, "encoder", 0, "see its model card")
    raise InputError(
        f"No model is called {name!r}. Known are {', '.join(MODEL_CARDS)}; or give a repository as "
        f"owner/name."
    )


def _check_room(models_folder: Path, card: ModelCard) -> None:
    models_folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(models_folder).free // 1_000_000
    if free < card.megabytes * 1.05:
        raise StageError(
            f"{card.name} needs {card.megabytes} MB and {models_folder} has {free} MB free. Free "
            f"some space or set compute.models."
        )


def _pull_repository(card: ModelCard, folder: Path) -> None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise StageError(
            "Pulling models needs the extra `models`: `uv sync --extra models`."
        ) from error
    try:
        # Resumes by itself, verifies sizes and shows its own progress on standard error.
        snapshot_download(
            card.source, local_dir=folder, allow_patterns=list(card.files or PATTERNS)
        )
    except Exception as error:
        raise _failed(card, folder, error) from error


def _pull_file(card: ModelCard, folder: Path, progress: Progress) -> None:
    target = folder / card.source.rsplit("/", 1)[-1]
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        _fetch(card.source, partial, progress)
    except (URLError, OSError) as error:
        raise _failed(card, folder, error) from error
    _check_digest(card, partial)
    partial.replace(target)


def _fetch(address: str, partial: Path, progress: Progress) -> None:
    """Fetch what `partial` lacks; raises OSError when the connection ends before the file does."""
    held = partial.stat().st_size if partial.exists() else 0
    with _ask(address, held) as response:
        begun = held if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        total = int(response.headers.get("Content-Length", 0)) + begun
        with (
            partial.open("ab" if begun else "wb") as file,
            progress.track(partial.name, total, "byte") as bar,
        ):
            bar.advance(begun)
            while piece := response.read(PIECE_BYTES):
                file.write(piece)
                bar.advance(len(piece))
    if partial.stat().st_size < total:
        raise OSError(f"the connection ended after {partial.stat().st_size:,} of {total:,} bytes")


def _ask(address: str, held: int) -> HTTPResponse:
    """Return the server's answer from byte `held` on; the whole file when the server says that
    there is nothing from there on.
    """
    try:
        answer: HTTPResponse = urlopen(
            Request(address, headers={"Range": f"bytes={held}-"} if held else {}), timeout=60
        )
    except HTTPError as error:
        if not held or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        answer = urlopen(address, timeout=60)
    return answer


def _check_digest(card: ModelCard, partial: Path) -> None:
    digest = file_digest(partial)
    if not digest.startswith(card.sha256_prefix):
        partial.unlink()
        raise StageError(
            f"What {card.source} sent is not the published file (sha256 {digest[:8]}…, expected "
            f"{card.sha256_prefix}…); it was removed. Pull again; if it happens twice, do not "
            "trust the connection."
        )


def _failed(card: ModelCard, folder: Path, error: Exception) -> StageError:
    return StageError(
        f"{card.name} could not be fetched from {card.source}: {error}. Check the network, and for "
        "gated models that you are logged in with an accepted licence. What arrived is kept in "
        f"{folder}, and the next pull goes on from there."
    )
