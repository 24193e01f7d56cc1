"""The models folder: which of the known models are there, whether their files are whole, and how
others are fetched; the only place of the project that talks to a hub.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from zipfile import BadZipFile, ZipFile

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.core.progress import Progress
from clustering_pipeline.models.cards import MODEL_CARDS, ModelCard, find_card
from clustering_pipeline.models.files import (
    cached_snapshots,
    file_digest,
    files_to_pull,
    locate_model,
    model_digest,
    read_model_type,
    weight_files,
)
from clustering_pipeline.models.open_clip import is_open_clip, read_open_clip_preprocessing
from clustering_pipeline.models.preprocessing import read_preprocessing

PIECE_BYTES = 1 << 20


def pull_model(name: str, models_folder: Path, progress: Progress) -> Path:
    """Fetch the model `name` (a card's name, or a repository `owner/name`) and return its folder; a
    broken-off pull resumes, and files in the hub's own cache of this machine are copied from there.

    Of a repository one layout of its weights is fetched, see `files_to_pull`; where the hub's cache
    holds all of it, that folder is returned. It ends by finding the model by its name and checking
    weights, configuration and preprocessing. Raises InputError for an unknown name, StageError when
    there is no network, no room on the disk, a licence to accept first, another file than the
    published one, or a model that a run could not use.
    """
    card = _card_of(name)
    folder = models_folder / card.folder_name
    models_folder.mkdir(parents=True, exist_ok=True)
    if card.is_single_file:
        _check_room(models_folder, card, card.megabytes)
        _pull_file(card, folder, progress)
    else:
        folder = _pull_repository(card, folder)
    _check_usable(card, models_folder)
    return folder


def _check_usable(card: ModelCard, models_folder: Path) -> None:
    """Find the model as a run will find it, and open what it will open."""
    model = card.name
    place = locate_model(model, Hardware(models_folder=models_folder), "compute.models")
    problem = model_problem(place, card)
    if problem:
        raise StageError(
            f"{model} was fetched from {card.source}, but a run could not use it: {problem}"
        )


def _card_of(name: str) -> ModelCard:
    card = find_card(name)
    if card:
        return card
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        return ModelCard(name, name, "model", 0, "see its model card")
    raise InputError(
        f"No model is called {name!r}. Known are {', '.join(MODEL_CARDS)}; or give a repository as "
        f"owner/name."
    )


def _check_room(models_folder: Path, card: ModelCard, megabytes: float) -> None:
    free = shutil.disk_usage(models_folder).free / 1_000_000
    if free < megabytes * 1.05:
        raise StageError(
            f"{card.name} needs {megabytes:,.0f} MB and {models_folder} has {free:,.0f} MB free. "
            f"Free some space or set compute.models."
        )


@dataclass(frozen=True)
class _Listing:
    """A repository at one commit: the size in bytes of each file, and the sha256 of the large
    ones.
    """

    commit: str
    sizes: Mapping[str, int]
    digests: Mapping[str, str]


def _pull_repository(card: ModelCard, folder: Path) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError
    except ImportError as error:
        raise StageError(
            "Pulling models needs the extra `models`: `uv sync --extra models`."
        ) from error
    listing = _list_repository(card, folder)
    try:
        chosen = files_to_pull(listing.sizes, card.files)
    except ValueError as error:
        raise StageError(
            f"{card.name} cannot be pulled from {card.source}: {error}. Choose a repository that "
            f"publishes whole weights of PyTorch."
        ) from error
    if not folder.exists() and (cached := _cached(card, listing.commit, chosen)):
        return cached
    missing = [name for name in chosen if not _is_held(folder / name, listing.sizes[name])]
    _check_room(folder.parent, card, sum(listing.sizes[name] for name in missing) / 1_000_000)
    try:
        # Resumes by itself and shows its own progress on standard error.
        snapshot_download(
            card.source, revision=listing.commit, local_dir=folder, allow_patterns=chosen
        )
    except GatedRepoError as error:
        # The list of a gated repository is open to everybody, its files are not.
        raise StageError(_gated(card)) from error
    except Exception as error:
        raise _failed(card, folder, error) from error
    _check_published(card, folder, {name: listing.digests.get(name) for name in chosen})
    return folder


def _cached(card: ModelCard, commit: str, names: Sequence[str]) -> Path | None:
    """Return the hub cache's folder of this commit if it holds all files and a run would find
    it.
    """
    return next(
        (
            place
            for place in cached_snapshots(card.source, card.revision)
            if place.name == commit and all((place / name).is_file() for name in names)
        ),
        None,
    )


def _is_held(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _list_repository(card: ModelCard, folder: Path) -> _Listing:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(card.source, revision=card.revision or None, files_metadata=True)
    except GatedRepoError as error:
        raise StageError(_gated(card)) from error
    except RepositoryNotFoundError as error:
        raise StageError(
            f"The hub has no repository {card.source} that this machine may read. Check the name; "
            "for a private one, or after a token has expired, log in anew with `hf auth login`."
        ) from error
    except Exception as error:
        raise _failed(card, folder, error) from error
    files = info.siblings or []
    return _Listing(
        str(info.sha),
        {file.rfilename: file.size or 0 for file in files},
        {file.rfilename: file.lfs.sha256 for file in files if file.lfs},
    )


def _gated(card: ModelCard) -> str:
    return (
        f"{card.name} is gated ({card.licence}). Accept its licence at "
        f"https://huggingface.co/{card.source} with an account of the hub, log in on this machine "
        f"with `hf auth login` or set HF_TOKEN to a token of that account, and pull again."
    )


def _check_published(card: ModelCard, folder: Path, digests: Mapping[str, str | None]) -> None:
    """Compare files with what the repository lists; the sizes alone would let a changed byte
    through.
    """
    for name, published in digests.items():
        if published and (digest := model_digest(folder / name)) != published:
            (folder / name).unlink()
            raise _not_published(f"{card.source}/{name}", digest, published)


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
    downloaded_bytes = partial.stat().st_size if partial.exists() else 0
    with _ask(address, downloaded_bytes) as response:
        begun = downloaded_bytes if response.status == HTTPStatus.PARTIAL_CONTENT else 0
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


def _ask(address: str, first_byte: int) -> HTTPResponse:
    """Return the server's answer from byte `first_byte` on; the whole file when the server says
    that there is nothing from there on.
    """
    try:
        answer: HTTPResponse = urlopen(
            Request(address, headers={"Range": f"bytes={first_byte}-"} if first_byte else {}),
            timeout=60,
        )
    except HTTPError as error:
        if not first_byte or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        answer = urlopen(address, timeout=60)
    return answer


def _check_digest(card: ModelCard, partial: Path) -> None:
    digest = file_digest(partial)
    if not digest.startswith(card.sha256_prefix):
        partial.unlink()
        raise _not_published(card.source, digest, card.sha256_prefix)


def _not_published(source: str, digest: str, published: str) -> StageError:
    return StageError(
        f"What {source} sent is not the published file (sha256 {digest[:8]}…, expected "
        f"{published[:8]}…); it was removed. Pull again; if it happens twice, do not trust the "
        "connection."
    )


def _failed(card: ModelCard, folder: Path, error: Exception) -> StageError:
    return StageError(
        f"{card.name} could not be fetched from {card.source}: {error}. Check the network. What "
        f"arrived is kept in {folder}, and the next pull goes on from there."
    )


@dataclass(frozen=True)
class HeldModel:
    """A known model and where it is; `place` is None when it is not on this machine."""

    card: ModelCard
    place: Path | None

    @property
    def megabytes(self) -> int:
        """Size of the weights on this machine, 0 without any."""
        files = (
            []
            if self.place is None
            else [self.place]
            if self.place.is_file()
            else list(weight_files(self.place))
        )
        return sum(file.stat().st_size for file in files) // 1_000_000


@dataclass(frozen=True)
class Check:
    """What checking a held model found: its digest, or the sentence that says what is wrong."""

    model: HeldModel
    digest: str | None
    problem: str | None


def held_models(hardware: Hardware) -> list[HeldModel]:
    """Return every known model with its place on this machine."""
    return [HeldModel(card, _place(card, hardware)) for card in MODEL_CARDS.values()]


def check_models(hardware: Hardware) -> Iterator[Check]:
    """Open every held weight file and hash it; no pickled file is unpickled."""
    for model in held_models(hardware):
        if model.place is not None:
            problem = model_problem(model.place, model.card)
            yield Check(model, None if problem else model_digest(model.place), problem)


def _place(card: ModelCard, hardware: Hardware) -> Path | None:
    try:
        return locate_model(card.name, hardware, "model")
    except StageError:
        return None


def model_problem(place: Path, card: ModelCard) -> str | None:
    """Return the sentence that says why a run could not use the model at `place`, None when it
    could: damaged weights, or no configuration or preprocessing beside them.
    """
    for file in [place] if place.is_file() else weight_files(place):
        problem = (
            _unreadable_safetensors(file)
            if file.suffix == ".safetensors"
            else _unlike_published(file, card)
        )
        if problem:
            return f"{file} is damaged ({problem}). Pull the model again."
    return None if place.is_file() or card.kind == "model" else _undescribed(place, card)


def _undescribed(place: Path, card: ModelCard) -> str | None:
    """Return what is wrong with a folder's configuration, and with an encoder's preprocessing."""
    try:
        if is_open_clip(place):
            read_open_clip_preprocessing(place)
            return None
        read_model_type(place)
        if card.kind == "encoder":
            read_preprocessing(place)
    except StageError as error:
        return str(error)
    return None


def _unlike_published(file: Path, card: ModelCard) -> str | None:
    """Return what is wrong with a file that is not safetensors: its published digest, else the
    checksums of its archive.
    """
    if card.sha256_prefix:
        return (
            None
            if model_digest(file).startswith(card.sha256_prefix)
            else "another digest than the published file's"
        )
    if file.stat().st_size == 0:
        return "empty"
    if file.suffix == ".onnx":
        return None
    try:
        with ZipFile(file) as archive:
            broken = archive.testzip()
    except (BadZipFile, OSError) as error:
        return str(error)
    return f"{broken} does not match its checksum" if broken else None


def _unreadable_safetensors(file: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return None if list(tensors.keys()) else "no tensors"
    except (SafetensorError, OSError) as error:
        return str(error)
