"""The settings reference says what the code does."""

from clustering_pipeline.settings.pipeline import PipelineSettings
from clustering_pipeline.settings.reference import REFERENCE, settings_reference


def test_reference_on_disk_is_the_one_that_the_settings_give():
    assert REFERENCE.read_text(encoding="utf-8") == settings_reference(), (
        "run `python -m clustering_pipeline.settings.reference` and commit docs/settings.md"
    )


def test_every_setting_is_described():
    text = settings_reference()
    for section, field in PipelineSettings.model_fields.items():
        for name, setting in getattr(field.annotation, "model_fields", {}).items():
            assert setting.description, f"{section}.{name}"
            assert f"`{section}.{name}" in text
