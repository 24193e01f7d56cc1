"""Which of the known models are on this machine, and whether their files are whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.models.cards import MODEL_CARDS, ModelCard
from clustering_pipeline.models.files import (
    locate_model,
    model_digest,
    read_model_type,
    weight_files,
)
from clustering_pipeline.models.open_clip import is_open_clip, read_open_clip_preprocessing
from clustering_pipeline.models.preprocessing import read_preprocessing


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

    held: HeldModel
    digest: str | None
    problem: str | None


def held_models(hardware: Hardware) -> list[HeldModel]:
    """Return every known model with its place on this machine."""
    return [HeldModel(card, _place(card, hardware)) for card in MODEL_CARDS.values()]


def check_models(hardware: Hardware) -> Iterator[Check]:
    """Open every held weight file and hash it; no pickled file is unpickled."""
    for held in held_models(hardware):
        if held.place is not None:
            problem = model_problem(held.place, held.card)
            yield Check(held, None if problem else model_digest(held.place), problem)


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
