"""What the detector is asked for."""

from clustering_pipeline.assets.building import AssetRun, stage_asset
from clustering_pipeline.automation.pools import GEMINI
from clustering_pipeline.manifests import ENGLISH_PROMPTS
from clustering_pipeline.settings import PromptSettings
from clustering_pipeline.stage import StageResult


@stage_asset(ENGLISH_PROMPTS, group="pictures", kinds=["python"], pool=GEMINI)
def english_prompts(settings: PromptSettings, run: AssetRun) -> StageResult:
    """The category's Vietnamese class words with their English prompts, and who translated each."""
    from clustering_pipeline.prompts import translate_words

    return translate_words(run.workplace.sources.load(run.category).display_name, settings, run.stage)
