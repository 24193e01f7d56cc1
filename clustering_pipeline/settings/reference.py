"""The settings reference, written from the settings themselves: `python -m
clustering_pipeline.settings.reference`.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clustering_pipeline.settings.base import StageSettings
from clustering_pipeline.settings.pipeline import PipelineSettings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"

_INTRODUCTION = """# Settings

Written by `python -m clustering_pipeline.settings.reference`; a test compares it with the code.

A setting is named `section.name`. It is looked for in this order, the last one found holds: the
defaults below, `settings.yaml` in the Dagster home, its `categories.<slug>` part, the file given
with `--settings`, the assignments given with `--set`. The last two hold for that run only.

```yaml
clusters:
  method: graph
categories:
  kem-chong-nang:
    clusters:
      method: dbscan
      eps: 0.2
```

Settings marked † change how fast or how gently a stage works, never what it returns: changing one
makes nothing stale.
"""


def settings_reference() -> str:
    """Return the reference of all settings as Markdown: a table per section."""
    sections = [_section(name, field) for name, field in PipelineSettings.model_fields.items()]
    return "\n".join([_INTRODUCTION, *sections])


def _section(name: str, field: FieldInfo) -> str:
    model: Any = field.annotation
    rows = list(_rows(name, model))
    if not rows:
        return ""
    about = (inspect.getdoc(model) or "").splitlines()[0]
    return "\n".join(
        [
            f"## {name}",
            "",
            about,
            "",
            "| setting | default | values | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()["properties"] if model.model_fields else {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(f"{prefix}.{name}", field.annotation)
            continue
        mark = "" if _changes_output(model, field) else " †"
        cells = [
            f"`{prefix}.{name}`{mark}",
            _default(field),
            _values(schema.get(name, {})),
            field.description or "",
        ]
        yield (
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )


def _changes_output(model: type[BaseModel], field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return issubclass(model, StageSettings) and not (
        isinstance(extra, dict) and extra.get("fingerprint") is False
    )


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    if value in ((), [], {}, ""):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _values(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return _values(next((part for part in schema["anyOf"] if part.get("type") != "null"), {}))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = {
        "integer": "whole number",
        "number": "number",
        "boolean": "true, false",
        "array": "list",
        "object": "mapping",
    }
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return " ".join([kind.get(schema.get("type", ""), "text"), ", ".join(bounds)]).strip()


if __name__ == "__main__":
    REFERENCE.write_text(settings_reference(), encoding="utf-8")
