"""How a query picture is to be treated: exactly like the pictures of the catalogue."""

from pydantic import BaseModel, ConfigDict

from clustering_pipeline.prompts import Prompt
from clustering_pipeline.settings import CropSettings, EmbeddingSettings, LocalFeatureSettings, MatchSettings


class QuerySettings(BaseModel):
    """The settings under which the vectors of an index were made, and the prompts of its detector."""

    model_config = ConfigDict(frozen=True)

    crops: CropSettings = CropSettings()
    local_features: LocalFeatureSettings = LocalFeatureSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    matches: MatchSettings = MatchSettings()
    prompts: tuple[Prompt, ...] = ()
