"""Searching with words, where the encoder's model has a text tower beside its image tower."""

from clustering_pipeline.embedding import ClipEncoder
from clustering_pipeline.errors import InputError
from clustering_pipeline.hardware import resolve_device
from clustering_pipeline.models import ClipTextTower, locate_model
from clustering_pipeline.search.lookup import Hit, SearchIndex
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stage import StageContext


class WordSearch:
    """Looks words up among the vectors of pictures."""

    def __init__(self, index: SearchIndex, context: StageContext) -> None:
        """Loads the text tower; raises InputError when the encoder has none, StageError when it does not load."""
        settings = index.settings.embeddings
        if not has_text_tower(settings):
            raise InputError(
                f"The encoder {settings.encoder!r} understands pictures only. Search with a picture, or set embeddings.encoder "
                "to clip with a CLIP model, and run the category again."
            )
        place = locate_model(settings.model or ClipEncoder.default_model, context.hardware, "embeddings.model")
        self._index = index
        self._tower = ClipTextTower(place, resolve_device(context.hardware))

    def search(self, words: str, top: int = 10) -> list[Hit]:
        """Return the `top` listings whose pictures are nearest to the words."""
        return self._index.query(self._tower.encode([words])[0], top)


def has_text_tower(settings: EmbeddingSettings) -> bool:
    """Whether vectors of these settings lie in a space that words can be placed in as well."""
    return settings.encoder == "clip" and settings.reduce == "none"
